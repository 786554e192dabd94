"""The encoded texts in Ray's object store: one copy per node, shared by all its readers."""

import dataclasses

import ray

from model.scoring.objective import PreparedCorpus


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SharedCorpus:
    """A prepared corpus that trials, finalists and the predictor's tasks share.

    Attributes:
        reference: Ray's reference; a task that has it as an argument gets the corpus itself.
    """

    reference: "ray.ObjectRef[PreparedCorpus]"

    @classmethod
    def of(cls, prepared: PreparedCorpus) -> "SharedCorpus":
        """Put a corpus into the store; this process reads that copy too."""
        reference = ray.put(prepared)
        prepared.encoded.update(ray.get(reference).encoded)
        return cls(reference=reference)

    def get(self) -> PreparedCorpus:
        """Return the corpus, on any node; its arrays are read-only."""
        corpus: PreparedCorpus = ray.get(self.reference)
        return corpus
