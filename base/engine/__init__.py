"""DeepSpeed and what a process does before torch computes."""
