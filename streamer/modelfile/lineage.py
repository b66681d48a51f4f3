"""A model's training data: speakers, recordings and other material, stored with its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

#: How held-back people are identified: by name, or by the digests of their recordings if the
#: speakers are unknown.
HeldBy = Literal["speakers", "recordings"]

LONGEST_NAME = 100
#: Most names in a lineage; a corpus of a few thousand recordings has hundreds.
MOST_NAMES = 50_000


@dataclass(frozen=True)
class HeardCorpus:
    """A corpus that a model learnt from, and what was held back from it.

    Attributes:
        name: name of the corpus; for a user's own recordings, of their folder or table.
        is_own: whether these are a user's own recordings, whatever their folder is called.
        licence: the corpus's.
        split: name of the split that divided it.
        held_by: what the names below identify.
        trained: the weights were fitted to these; empty where recordings were held back.
        validation: the epoch and the temperature were chosen on these.
        test: the model has never heard these.
        digests: digests of a user's own recordings for training or validation, to recognize them
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
        """All names, for any use."""
        return (*self.trained, *self.validation, *self.test)

    @property
    def held_back(self) -> frozenset[str]:
        """The names to which no weights were fitted before a refit."""
        return frozenset((*self.validation, *self.test))

    def may_have_heard(self, other: HeardCorpus, is_refit: bool = False) -> bool:
        """Return whether a model trained on this split may have heard people the other held back.

        Args:
            other: the split that evaluates.
            is_refit: whether both were trained on their validation people too, at the end.
        """
        if "recordings" in (self.held_by, other.held_by):
            return (self.validation, self.test) != (other.validation, other.test)
        heard_late = is_refit and not set(other.test).isdisjoint(self.validation)
        return heard_late or not other.held_back.isdisjoint(self.trained)


@dataclass(frozen=True)
class Material:
    """Unlabelled material that a model learnt from: noise, rooms, another network.

    Attributes:
        name: in words.
        licence: the material's.
    """

    name: str
    licence: str

    def __post_init__(self) -> None:
        check_texts((self.name, self.licence))


@dataclass(frozen=True)
class Lineage:
    """Everything a model learnt from, by itself and through the model it started from.

    Attributes:
        corpora: corpora of labelled speech.
        beside: unlabelled material.
        is_refit: whether it was trained on the validation people too, after they had chosen the
            epoch.
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
        """Return the corpus of that name, None if the model has not heard it."""
        found = (one for one in self.corpora if (one.name, one.is_own) == (name, is_own))
        return next(found, None)

    @property
    def digests(self) -> frozenset[str]:
        """Digests of all own recordings that were used for training or validation."""
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
            facts["validation speakers"] = "trained on too, once they had chosen the epoch"
        if self.beside:
            facts["also learnt from"] = "; ".join(one.name for one in self.beside)
        of_corpora = [Material(corpus.name, corpus.licence) for corpus in self.corpora]
        licences = (f"{one.licence} ({one.name})" for one in (*of_corpora, *self.beside))
        return {**facts, "licence": "; ".join(licences)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read the output of :func:`dataclasses.asdict`.

        Raises:
            KeyError, TypeError, ValueError: it is not a lineage.
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
    """Check texts that a screen will show.

    Raises:
        ValueError: one is not a text, is not printable, is blank or is too long.
    """
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        raise ValueError("names must be printable text")
    if not all(text.strip() and len(text) <= LONGEST_NAME for text in texts):
        raise ValueError(f"names must have 1 to {LONGEST_NAME} characters")
