"""Serves a CSV file from the local S3 server where `make reviews` looks for the public reviews."""

import logging
from pathlib import Path

from tqdm import tqdm

from sentiment.common.errors import InputError
from sentiment.storage.s3 import REVIEWS_SOURCE, STORAGE, Remote, write_local_settings
from storage.readiness import make_bucket

log = logging.getLogger(__name__)

REVIEWS = "womens_clothing_ecommerce_reviews.csv"  # the name that `make reviews` asks for


def serve_reviews(csv: Path) -> None:
    """Upload a CSV file to the bucket of the public reviews, and set the endpoint of that DVC remote.

    Raises:
        InputError: there is no such file.
    """
    if not csv.is_file():
        raise InputError(f"{csv}: no such file; SOURCE names a CSV file of reviews")
    storage, source = Remote.read(STORAGE), Remote.read(REVIEWS_SOURCE)
    client = storage.client()
    make_bucket(client, source.bucket)
    with tqdm(desc=f"upload {csv.name}", total=csv.stat().st_size, unit="B", unit_scale=True, disable=None) as bar:
        client.upload_file(str(csv), source.bucket, source.key(REVIEWS), Callback=bar.update)
    write_local_settings({REVIEWS_SOURCE: {name: str(storage.settings[name]) for name in ("endpointurl", "region")}})
    log.info("s3: %s is served as %s/%s, readable without keys", csv, source.url, REVIEWS)
    log.info("s3: `make reviews` downloads it")
