"""Who and what a model has learnt from, as data that comes with its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

#: What a model's held-back people are known by: their names, or the digests of their recordings
#: where nobody says who speaks.
HeldBy = Literal["speakers", "recordings"]

LONGEST_NAME = 100
#: Names in a lineage; a corpus of a few thousand recordings has hundreds.
MOST_NAMES = 50_000


@dataclass(frozen=True)
class HeardCorpus:
    """A corpus that a model has learnt from, and what was held back from it.

    Attributes:
        name: of the corpus; of a person's own recordings, of their folder or table.
        is_own: these are a person's own recordings, whatever their folder is called.
        licence: of the corpus.
        split: name of the split that divided it.
        held_by: what the names below are.
        trained: the weights were fitted to these; empty where recordings were held back.
        validation: the epoch and the temperature were chosen on these.
        test: the model has never heard these.
        digests: of a person's own recordings, those that trained or chose: they are known again
            in another folder and under another name.
    """

    name: str
    is_own: bool
    licence: str
    split: str
    held_by: HeldBy
    trained: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    digests: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.held_by not in ("speakers", "recordings"):
            raise ValueError(f"held_by must be speakers or recordings, is {self.held_by!r}")
        lists = (self.trained, self.validation, self.test, self.digests)
        if not all(isinstance(one, tuple) for one in lists):
            raise ValueError("speakers and recordings must be lists of names")
        check_texts((self.name, self.licence, self.split, *self.names, *self.digests))
        parts = (self.trained, self.validation, self.test)
        if len({*self.names}) < sum(len({*part}) for part in parts):
            raise ValueError("nobody may be both trained on and held back, or held back twice")

    @property
    def names(self) -> tuple[str, ...]:
        """All names, whatever they were used for."""
        return (*self.trained, *self.validation, *self.test)

    @property
    def held_back(self) -> frozenset[str]:
        """What no weights were fitted to before a refit."""
        return frozenset((*self.validation, *self.test))

    def may_have_heard(self, other: HeardCorpus, is_refit: bool = False) -> bool:
        """Whether who learnt by this split may have heard someone whom the other one judges by.

        Args:
            other: the split that judges.
            is_refit: both were trained on their validation people, too, at the end.
        """
        if "recordings" in (self.held_by, other.held_by):
            return (self.validation, self.test) != (other.validation, other.test)
        heard_late = is_refit and not set(other.test).isdisjoint(self.validation)
        return heard_late or not other.held_back.isdisjoint(self.trained)


@dataclass(frozen=True)
class Material:
    """Something without labels that a model has learnt from: noise, rooms, another network.

    Attributes:
        name: in words.
        licence: of it.
    """

    name: str
    licence: str

    def __post_init__(self) -> None:
        check_texts((self.name, self.licence))


@dataclass(frozen=True)
class Lineage:
    """Everything a model has learnt from, by itself and by what it started from.

    Attributes:
        corpora: whose labelled speech it has heard.
        beside: what it has heard without labels.
        is_refit: it was trained on the validation people too, once they had chosen the epoch.
    """

    corpora: tuple[HeardCorpus, ...] = ()
    beside: tuple[Material, ...] = ()
    is_refit: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.is_refit, bool):
            raise ValueError("is_refit must be true or false")
        names = sum(len(corpus.names) + len(corpus.digests) for corpus in self.corpora)
        if names > MOST_NAMES:
            raise ValueError(f"a lineage must have at most {MOST_NAMES} names")
        if len({(one.name, one.is_own) for one in self.corpora}) < len(self.corpora):
            raise ValueError("corpora must have different names")

    def corpus(self, name: str, is_own: bool) -> HeardCorpus | None:
        """The corpus of that name, None where the model has not heard it."""
        found = (one for one in self.corpora if (one.name, one.is_own) == (name, is_own))
        return next(found, None)

    @property
    def digests(self) -> frozenset[str]:
        """Of all own recordings that trained or chose."""
        return frozenset(digest for corpus in self.corpora for digest in corpus.digests)

    @property
    def facts(self) -> dict[str, str]:
        """The lineage in words."""
        if not self.corpora:
            return {}
        splits = dict.fromkeys(corpus.split for corpus in self.corpora)
        facts = {
            "trained on": ", ".join(corpus.name for corpus in self.corpora),
            "split": ", ".join(splits),
        }
        if self.is_refit:
            facts["validation speakers"] = "trained on once the epoch was chosen"
        if self.beside:
            facts["heard beside"] = ", ".join(one.name for one in self.beside)
        of_corpora = [Material(corpus.name, corpus.licence) for corpus in self.corpora]
        licences = (f"{one.licence} ({one.name})" for one in (*of_corpora, *self.beside))
        return {**facts, "licence": "; ".join(licences)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what :func:`dataclasses.asdict` made of one.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        corpora = [
            HeardCorpus(**{name: _tuple_of(value) for name, value in one.items()})
            for one in values["corpora"]
        ]
        beside = tuple(Material(**one) for one in values["beside"])
        return cls(tuple(corpora), beside, values["is_refit"])


def _tuple_of(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def check_texts(texts: tuple[str, ...]) -> None:
    """Check what a screen is to show.

    Raises:
        ValueError: a text is none, is not printable, is blank or is too long.
    """
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        raise ValueError("names must be printable text")
    if not all(text.strip() and len(text) <= LONGEST_NAME for text in texts):
        raise ValueError(f"names must have 1 to {LONGEST_NAME} characters")
