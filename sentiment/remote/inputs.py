"""Data that DVC tracks here, brought into the storage remote before a job needs it."""

import logging
from typing import Any

from sentiment.common.errors import InputError, StorageError, one_line
from sentiment.remote.job import S3_ERRORS
from sentiment.storage.s3 import STORAGE


def push_data() -> bool:
    """Push inputs and outputs of the workspace that the remote lacks; return whether it now has all of them.

    An output that is nowhere is no error: its stage then runs in the job.

    Raises:
        InputError: an input that a .dvc file tracks is neither here nor there.
        StorageError: the storage does not answer.
    """
    from dvc.exceptions import DvcException  # a second
    from dvc.repo import Repo

    for library in ("dvc", "dvc_data"):  # they warn of every file that is nowhere
        logging.getLogger(library).setLevel(logging.ERROR)
    objects: set[Any] = set()
    nowhere: list[Any] = []
    with Repo() as repo:
        outs = [out for out in repo.index.outs if out.use_cache and out.hash_info]
        for out in outs:
            try:
                objects.update(*out.get_used_objs(remote=STORAGE).values())
            except (DvcException, OSError):  # the list of a folder is nowhere
                nowhere.append(out)
        try:
            status = repo.cloud.status(objects, remote=STORAGE)
            failed = repo.cloud.push(status.new, remote=STORAGE).failed if status.new else set()
        except (DvcException, OSError, *S3_ERRORS) as error:
            raise StorageError(f"dvc push: {one_line(error)}") from None
        if failed:
            raise StorageError(f"dvc push: {len(failed)} objects failed; `make doctor` checks the storage")
        missing = {one.value for one in status.missing}
        nowhere += [out for out in outs if out.hash_info.value in missing]
        if inputs := [out for out in nowhere if out.stage.is_data_source]:
            raise InputError(f"{inputs[0]}: neither in the cache here nor in the remote; `dvc add` or `dvc push` it")
        return not nowhere and not missing
