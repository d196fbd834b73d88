"""What a setting may be, annotated on its field.

    epochs: Annotated[int, AtLeast(1)] = 20
    schedule: Annotated[str, OneOf("constant", "cosine", "step")] = "cosine"
    box: Annotated[int, Even(), AtLeast(16), Means(0, "keeps the box")] = 0

From these follow the check and the sentence of its error (`Setting.check`), the words and ranges in the help of the
command line and of RELION's labels, and the menus and ranges of Scipion's forms. A new kind of bound is a class here.
"""

from dataclasses import dataclass
from typing import Any, ClassVar


class Bound:
    """One condition on a value, and how a person is told of it: `verb` and `phrase` make half a sentence."""

    verb: ClassVar[str] = "it must be"

    def admits(self, value: Any) -> bool:
        """Whether the value meets the condition. NaN meets none on numbers."""
        raise NotImplementedError

    @property
    def phrase(self) -> str:
        """What goes on from `verb`, as "at least 1"."""
        raise NotImplementedError


@dataclass(frozen=True)
class AtLeast(Bound):
    least: float

    def admits(self, value: Any) -> bool:
        return value >= self.least

    @property
    def phrase(self) -> str:
        return f"at least {self.least:g}" if self.least else "0 or more"


@dataclass(frozen=True)
class MoreThan(Bound):
    limit: float

    def admits(self, value: Any) -> bool:
        return value > self.limit

    @property
    def phrase(self) -> str:
        return f"more than {self.limit:g}" if self.limit else "positive"


@dataclass(frozen=True)
class AtMost(Bound):
    most: float

    def admits(self, value: Any) -> bool:
        return value <= self.most

    @property
    def phrase(self) -> str:
        return f"at most {self.most:g}"


@dataclass(frozen=True)
class LessThan(Bound):
    limit: float

    def admits(self, value: Any) -> bool:
        return value < self.limit

    @property
    def phrase(self) -> str:
        return f"less than {self.limit:g}"


@dataclass(frozen=True)
class Between(Bound):
    """Both ends are allowed."""

    least: float
    most: float

    def admits(self, value: Any) -> bool:
        return self.least <= value <= self.most

    @property
    def phrase(self) -> str:
        return f"between {self.least:g} and {self.most:g}"


@dataclass(frozen=True)
class Even(Bound):
    def admits(self, value: Any) -> bool:
        return value % 2 == 0

    @property
    def phrase(self) -> str:
        return "even"


@dataclass(frozen=True)
class Rising(Bound):
    """Of a range of two numbers."""

    verb = "give"

    def admits(self, value: Any) -> bool:
        low, high = value
        return low <= high

    @property
    def phrase(self) -> str:
        return "the smaller number first"


@dataclass(frozen=True, init=False)
class OneOf(Bound):
    """One of a few words; Scipion's forms make a menu of them and store the place, so new ones go to the end."""

    verb = "choose"
    words: tuple[str, ...]

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", words)

    def admits(self, value: Any) -> bool:
        return value in self.words

    @property
    def phrase(self) -> str:
        if len(self.words) > 3:
            return f"one of {', '.join(self.words)}"
        return f"{', '.join(self.words[:-1])} or {self.words[-1]}"


@dataclass(frozen=True)
class NumberOr(Bound):
    """A whole number in words, from 0, or one certain word."""

    verb = "give"
    word: str

    def admits(self, value: Any) -> bool:
        return value == self.word or (value.isdecimal() and len(value) < 10)

    @property
    def phrase(self) -> str:
        return f"a number, or {self.word}"


@dataclass(frozen=True)
class FolderName(Bound):
    """What can be the name of one folder anywhere."""

    verb = "it may have"

    def admits(self, value: Any) -> bool:
        return bool(value) and all(letter.isalnum() or letter in "-_" for letter in value)

    @property
    def phrase(self) -> str:
        return "letters, digits, - and _ only"


@dataclass(frozen=True)
class Means:
    """A value with a meaning of its own, allowed beside the bounds."""

    value: Any
    meaning: str
    """What it does, as "keeps the box"."""


@dataclass(frozen=True)
class Hint:
    """What to do about a value out of bounds, for the end of the error."""

    text: str
