import datetime as dt
import ipaddress

from cryptography import x509

from bakery.lab import authority


def test_a_labs_authority_speaks_for_its_bmcs_addresses_and_nothing_else(tmp_path):
    made = authority.make(tmp_path, ["192.168.77.1", "fd00::1"])
    ca, bmc = (x509.load_pem_x509_certificate(p.read_bytes()) for p in (made.ca, made.certificate))
    bmc.verify_directly_issued_by(ca)
    names = bmc.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    told = names.get_values_for_type(x509.IPAddress)
    assert told == [ipaddress.ip_address("192.168.77.1"), ipaddress.ip_address("fd00::1")]
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not bmc.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    now = dt.datetime.now(dt.UTC)
    assert bmc.not_valid_before_utc < now < bmc.not_valid_after_utc


def test_its_files_are_for_its_owner(tmp_path):
    made = authority.make(tmp_path, ["192.168.77.1"])
    assert {path.name for path in tmp_path.iterdir()} == set(authority.FILES)
    assert all(
        path.stat().st_mode & 0o777 == 0o600 for path in (made.ca, made.certificate, made.key)
    )
    before = made.key.read_bytes()
    authority.make(tmp_path, ["192.168.77.1"])
    assert made.key.read_bytes() != before
