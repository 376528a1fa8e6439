"""A lab's own certificate authority, and the certificate of its BMCs."""

import datetime as dt
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bakery.host import folders

CA, CERTIFICATE, KEY = "bmc-ca.pem", "bmc.pem", "bmc.key"
FILES = (CA, CERTIFICATE, KEY)
LIFETIME = dt.timedelta(days=365)
# A clock of the reader's that is behind by less than so much does no harm.
SKEW = dt.timedelta(days=1)


class Authority(msgspec.Struct, frozen=True):
    """Where the certificates are: the authority's, and that of the BMCs with its key."""

    ca: Path
    certificate: Path
    key: Path


def make(folder: Path, addresses: Sequence[str]) -> Authority:
    """An authority of one certificate, for BMCs at these IP addresses; its files are in `folder`.

    The authority's own key is forgotten: nobody can have it sign another.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    begins = dt.datetime.now(dt.UTC) - SKEW
    root = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "BMCs of a bakery lab")])
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def begun(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder(issuer_name=root, subject_name=subject, public_key=public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + SKEW + LIFETIME)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                root_key.public_key()), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )  # fmt: skip

    signing = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    ca = (
        begun(root, root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(signing, critical=True)
        .sign(root_key, hashes.SHA256())
    )
    names = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    bmc = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "BMC of a bakery lab")])
    certificate = (
        begun(bmc, key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    encoding, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    contents = (
        ca.public_bytes(encoding),
        certificate.public_bytes(encoding),
        key.private_bytes(encoding, private, serialization.NoEncryption()),
    )
    for name, content in zip(FILES, contents, strict=True):
        with os.fdopen(folders.create(folder / name, 0o600), "wb") as file:
            file.write(content)
    return Authority(folder / CA, folder / CERTIFICATE, folder / KEY)
