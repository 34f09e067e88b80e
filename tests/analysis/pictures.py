"""What a picture says."""

from __future__ import annotations

from matplotlib.figure import Figure as Picture


def words(picture: Picture) -> str:
    """All text of a picture."""
    own = [text.get_text() for text in picture.texts]
    return "\n".join(own + [t.get_text() for ax in picture.axes for t in ax.findobj(lambda a: hasattr(a, "get_text"))])


def flat(text: str) -> str:
    """Without line ends, which depend on the room there is."""
    return " ".join(text.split())
