"""The encoded texts in Ray's object store: one copy per node, shared by all its readers."""

import dataclasses

import ray

from model.scoring.objective import PreparedCorpus
from model.text.streams import EncodedCorpus


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SharedCorpus:
    """A prepared corpus that trials, finalists and the predictor's tasks share.

    Attributes:
        prepared: All of it but the streams.
        references: Cleaning to Ray's reference to its streams.
    """

    prepared: PreparedCorpus
    references: "dict[str, ray.ObjectRef[EncodedCorpus]]"

    @classmethod
    def of(cls, prepared: PreparedCorpus) -> "SharedCorpus":
        """Put a corpus into the store, and have this process read that copy too."""
        references = {}
        for cleaning in prepared.encoded:  # one by one: only what is being put is there twice
            references[cleaning] = ray.put(prepared.encoded[cleaning])
            prepared.encoded[cleaning] = ray.get(references[cleaning])
        return cls(prepared=dataclasses.replace(prepared, encoded={}), references=references)

    def get(self) -> PreparedCorpus:
        """Return the corpus, on any node; its arrays cannot be written."""
        encoded = ray.get(list(self.references.values()))
        return dataclasses.replace(
            self.prepared, encoded=dict(zip(self.references, encoded, strict=True))
        )
