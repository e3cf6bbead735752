"""Closes the internal ports of the local S3 server to everybody but the server itself.

Master, volume server, filer and admin speak gRPC and HTTP on ports of their own, and by default answer whoever asks:
any local user could read the S3 keys with `weed shell`, or objects from the volume server. Here gRPC asks for a client
certificate (mutual TLS), and HTTP for a signed token (JWT). Certificates and signing keys are created at every start;
the key that signed the certificates is kept nowhere, so nobody can make another client.

What this version of SeaweedFS leaves open to local users: the status pages `/` and `/cluster/status` of the master and
`/status` of the volume server. They show ports, versions, bucket names and disk usage, but neither keys nor objects.
"""

import datetime
import json
import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from storage.private_files import make_private_folder, write_private

# what `weed scaffold -config=security` names; "client" is what each of them uses to call the others
SERVICES = ("master", "volume", "filer", "s3", "admin", "worker", "msg_broker", "msg_agent", "mq", "client")
JWT_KEYS = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
JWT_KEY_BYTES = 32  # as many as the output of HMAC-SHA256, which signs the tokens
VALID_FOR = datetime.timedelta(days=3650)  # longer than a server runs without a restart, which makes new ones
CONFIG_NAME = "security.toml"  # `weed` reads it from its working folder


def write_security_config(folder: Path) -> Path:
    """Create certificates and signing keys in `folder`, and the `security.toml` that names them; return that file."""
    tls = folder / "tls"
    make_private_folder(tls)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("local S3 CA", ca_key.public_key(), ca_key, is_ca=True)
    certificate = _certificate("local S3", key.public_key(), ca_key, is_ca=False)
    pem = serialization.Encoding.PEM
    write_private(tls / "ca.pem", ca.public_bytes(pem).decode())
    write_private(tls / "certificate.pem", certificate.public_bytes(pem).decode())
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(tls / "key.pem", private.decode())
    config = folder / CONFIG_NAME
    write_private(config, _security_toml(tls.resolve()))
    return config


def _security_toml(tls: Path) -> str:
    """Return the text of `security.toml`; a JSON string is a TOML string too."""

    def table(name: str, **values: str) -> str:
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
        return "\n".join([f"[{name}]", *lines, ""])

    pair = {"cert": str(tls / "certificate.pem"), "key": str(tls / "key.pem")}
    tables = [table("grpc", ca=str(tls / "ca.pem"))]
    tables += [table(f"grpc.{service}", **pair) for service in SERVICES]
    tables += [table(name, key=secrets.token_hex(JWT_KEY_BYTES)) for name in JWT_KEYS]
    return "\n".join(tables)


def _certificate(
    name: str, public_key: ec.EllipticCurvePublicKey, ca_key: ec.EllipticCurvePrivateKey, is_ca: bool
) -> x509.Certificate:
    """Return a certificate for `public_key`, signed by the CA."""
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local S3 CA")]))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # a clock that is set back does not lock the server out
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    return builder.sign(ca_key, hashes.SHA256())
