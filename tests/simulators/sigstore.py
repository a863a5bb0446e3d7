"""A Sigstore instance in memory: authority, certificate log and signature log, with its root.

Everything a verifier looks at is real (RFC 5280 certificates with Fulcio's extensions, RFC 6962
timestamps and inclusion proofs, a signed checkpoint); only nobody runs it.
"""

import base64
import datetime as dt
import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

PAYLOAD_TYPE = "application/vnd.in-toto+json"
ISSUER = "https://accounts.example"
ORIGIN = "log.example - 1"
_FULCIO = "1.3.6.1.4.1.57264.1."
_TIMESTAMPS = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


class Instance:
    """One Sigstore instance; ``sign`` makes bundles, ``trusted_root`` says whom to believe."""

    def __init__(self) -> None:
        self.now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        self._authority = _key()
        self._log, self._certificate_log = _key(), _key()
        self._root = self._authority_certificate()

    def trusted_root(self) -> dict[str, Any]:
        span = {"start": _stamp(self.now - dt.timedelta(days=2))}
        authority = {
            "subject": {"organization": "example", "commonName": "example"},
            "uri": "https://authority.example",
            "certChain": {"certificates": [{"rawBytes": _b64(_der(self._root))}]},
            "validFor": span,
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [_instance(self._log, span)],
            "ctlogs": [_instance(self._certificate_log, span)],
            "certificateAuthorities": [authority],
        }

    def trust_config(self) -> dict[str, Any]:
        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": self.trusted_root(),
            "signingConfig": {"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json"},
        }

    def write_root(self, place: Path) -> Path:
        place.write_text(json.dumps(self.trusted_root()), encoding="utf-8")
        return place

    def sign(
        self,
        payload: bytes,
        *,
        identity: str,
        issuer: str = ISSUER,
        logged: dt.timedelta = dt.timedelta(),
    ) -> dict[str, Any]:
        """Returns a bundle over ``payload``; ``logged`` is when the log saw it, after now."""
        key = _key()
        leaf = self._leaf(key, identity, issuer)
        head = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode()
        made = key.sign(head + payload, ec.ECDSA(hashes.SHA256()))
        envelope = {
            "payload": _b64(payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": _b64(made), "keyid": ""}],
        }
        body = _log_body(envelope, payload, made, leaf)
        entry = self._entry(body, int((self.now + logged).timestamp()))
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": _b64(_der(leaf))},
                "tlogEntries": [entry],
            },
            "dsseEnvelope": envelope,
        }

    def _authority_certificate(self) -> x509.Certificate:
        public = self._authority.public_key()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority.example")])
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - dt.timedelta(days=2))
            .not_valid_after(self.now + dt.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(cert_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._authority, hashes.SHA256())
        )

    def _leaf(self, key: ec.EllipticCurvePrivateKey, identity: str, issuer: str) -> Any:
        code_signing = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._authority.public_key())
        text = issuer.encode()
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._root.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - dt.timedelta(minutes=1))
            .not_valid_after(self.now + dt.timedelta(minutes=9))
            .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(identity)]), critical=True)
            .add_extension(_usage(cert_sign=False), critical=True)
            .add_extension(code_signing, critical=False)
            .add_extension(authority, critical=False)
            .add_extension(_unknown(f"{_FULCIO}1", text), critical=False)
            .add_extension(_unknown(f"{_FULCIO}8", b"\x0c" + bytes([len(text)]) + text), False)
        )
        draft = builder.sign(self._authority, hashes.SHA256())
        stamped = self._timestamp(draft.tbs_certificate_bytes)
        return builder.add_extension(
            x509.UnrecognizedExtension(_TIMESTAMPS, stamped), critical=False
        ).sign(self._authority, hashes.SHA256())

    def _timestamp(self, certificate: bytes) -> bytes:
        """RFC 6962, sections 3.2 and 3.3: one timestamp over the certificate without it."""
        when = int(self.now.timestamp() * 1000)
        issuer = hashlib.sha256(_spki(self._authority)).digest()
        size = struct.pack("!I", len(certificate))[1:]
        signed = struct.pack("!BBQH", 0, 0, when, 1) + issuer + size + certificate + b"\0\0"
        made = self._certificate_log.sign(signed, ec.ECDSA(hashes.SHA256()))
        log = hashlib.sha256(_spki(self._certificate_log)).digest()
        stamp = b"\0" + log + struct.pack("!QH", when, 0) + b"\x04\x03"
        stamp += struct.pack("!H", len(made)) + made
        listed = struct.pack("!H", len(stamp) + 2) + struct.pack("!H", len(stamp)) + stamp
        # DER: lengths below 128 stand for themselves.
        size_bytes = bytes([len(listed)] if len(listed) < 128 else [0x81, len(listed)])
        return b"\x04" + size_bytes + listed

    def _entry(self, body: bytes, when: int) -> dict[str, Any]:
        identity = hashlib.sha256(_spki(self._log)).digest()
        root = hashlib.sha256(b"\0" + body).digest()
        note = f"{ORIGIN}\n1\n{_b64(root)}\n"
        signed = self._log.sign(note.encode(), ec.ECDSA(hashes.SHA256()))
        checkpoint = f"{note}\n— log.example {_b64(identity[:4] + signed)}\n"
        promised = rfc8785.dumps(
            {"body": _b64(body), "integratedTime": when, "logID": identity.hex(), "logIndex": 0}
        )
        return {
            "logIndex": "0",
            "logId": {"keyId": _b64(identity)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(when),
            "inclusionPromise": {
                "signedEntryTimestamp": _b64(self._log.sign(promised, ec.ECDSA(hashes.SHA256())))
            },
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": _b64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": checkpoint},
            },
            "canonicalizedBody": _b64(body),
        }


def _log_body(envelope: Any, payload: bytes, made: bytes, leaf: x509.Certificate) -> bytes:
    pem = leaf.public_bytes(serialization.Encoding.PEM)
    whole = json.dumps(envelope).encode()
    return rfc8785.dumps(
        {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": _sha256(whole),
                "payloadHash": _sha256(payload),
                "signatures": [{"signature": _b64(made), "verifier": _b64(pem)}],
            },
        }
    )


def _sha256(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


def _instance(key: ec.EllipticCurvePrivateKey, span: dict[str, str]) -> dict[str, Any]:
    public = _spki(key)
    return {
        "baseUrl": "https://log.example",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": _b64(public),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": span,
        },
        "logId": {"keyId": _b64(hashlib.sha256(public).digest())},
    }


def _usage(*, cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not cert_sign, key_cert_sign=cert_sign, crl_sign=cert_sign,
        content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _unknown(oid: str, value: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(ObjectIdentifier(oid), value)


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _stamp(when: dt.datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")
