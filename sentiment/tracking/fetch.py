"""A classifier as it was in a commit, tag or DVC experiment, without touching the workspace."""

from pathlib import Path

from sentiment.common.errors import ClassifierError
from sentiment.head.classifier import Classifier


def fetch_classifier(rev: str, classifier: Path, to: Path) -> Path:
    """Copy the classifier of revision `rev`, and its encoder where that is a folder, below `to`; return where it lies.

    DVC takes the files from its cache, else from the remote.

    Args:
        rev: anything that git calls a revision, or the name of a DVC experiment.
        classifier: its path from the root of the repository.

    Raises:
        ClassifierError: there is no such revision, or no classifier in it, or its files are in neither place.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # an S3 remote's own errors, which DVC passes on
    from dvc.api import DVCFileSystem  # a second or two, which only those pay who ask for a revision
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexError

    name = f"{classifier} of revision '{rev}'"
    try:
        fs = DVCFileSystem(rev=rev)
        fs.get(classifier.as_posix(), (to / classifier).as_posix(), recursive=True)
        encoder = Path(Classifier.load(to / classifier).config.features.config.encoder)
        if not encoder.is_absolute() and fs.isdir(encoder.as_posix()):
            fs.get(encoder.as_posix(), (to / encoder).as_posix(), recursive=True)
    except DvcException as error:
        raise ClassifierError(f"{name}: {error}") from None
    except (DataIndexError, OSError, BotoCoreError, ClientError) as error:
        raise ClassifierError(
            f"{name} is in neither DVC's cache nor the remote ({error}); run `dvc fetch --all-commits`, or `dvc push` "
            "where it was made"
        ) from None
    return to / classifier
