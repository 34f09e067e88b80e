"""The only reader and writer of what runs leave behind."""
