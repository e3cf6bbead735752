"""Jobs in, the texts of the next batch out.

Texts of one length need no padding, which costs up to a quarter of the time. So a batch has the text that waits the
longest and, of the others, those whose length is nearest to it; the rest waits for the next batch. Nothing waits
forever: each batch takes the oldest.
"""

from collections.abc import Sequence

from sentiment.serving.jobs import Job
from sentiment.serving.scores import TokenIds

MIN_TEXTS = 12  # in smaller batches the fixed costs of a batch weigh more than padding

Batch = list[tuple[Job, int]]  # a job and the index of one of its texts


def ids_of(item: tuple[Job, int]) -> TokenIds:
    """Return the token ids of a text that has been tokenized."""
    job, index = item
    return job.token_ids[index]


def next_batch(jobs: Sequence[Job], batch_tokens: int, share: float = 1.0) -> Batch:
    """Return texts of the jobs by length, and take them out of `unbatched`; at least one text where there is one.

    Args:
        jobs: that have been tokenized, the longest waiting first.
        batch_tokens: the most tokens that a batch has, unless it is one text.
        share: of the texts that wait, to take at most; more than that where it would be fewer than `MIN_TEXTS`.
    """
    waiting = _in_turn(jobs, batch_tokens / share)
    if not waiting:
        return []
    length = len(ids_of(waiting[0]))
    nearest = sorted(waiting[1:], key=lambda item: abs(len(ids_of(item)) - length))
    n_texts = max(MIN_TEXTS, round(len(waiting) * share))
    batch, n_tokens = waiting[:1], length
    for item in nearest[: n_texts - 1]:
        n_tokens += len(ids_of(item))
        if n_tokens > batch_tokens:
            break
        batch.append(item)
    for job, index in batch:
        job.unbatched.remove(index)
    return sorted(batch, key=lambda item: len(ids_of(item)))  # equal lengths side by side, which the encoder wants


def _in_turn(jobs: Sequence[Job], max_tokens: float) -> Batch:
    """Return texts of the jobs in turn, one each, until they have `max_tokens` tokens; at least one."""
    texts: Batch = []
    n_tokens, depth = 0, 0
    while deepest := [job for job in jobs if len(job.unbatched) > depth]:
        for job in deepest:
            item = (job, job.unbatched[depth])
            n_tokens += len(ids_of(item))
            if texts and n_tokens > max_tokens:
                return texts
            texts.append(item)
        depth += 1
    return texts
