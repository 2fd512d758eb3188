"""Signed blocks as files that `openssl` checks without us.

openssl dgst -sha256 -verify key.pem -signature signature.der block.bin
"""

from __future__ import annotations

import shlex

from ..signing import signature_der
from .judge import Report


def export_openssl(report: Report) -> dict[str, bytes]:
    """Files by name: block, DER signature and PEM key of each block, and a script that checks them all.

    Blocks without a key or with a signature of the wrong length are left out: there is nothing
    that openssl could check. Names number the exhibits as the report does.
    """
    files: dict[str, bytes] = {}
    commands = []
    for number, finding in enumerate(report.findings, 1):
        for block in finding.exhibit.blocks:
            key = finding.key
            if key is None or len(block.signature) != 2 * key.curve.size:
                continue
            stem = f"{number:04d}-{block.name}"
            pem = f"key-{key.fingerprint.replace(' ', '')}.pem"
            files[pem] = key.pem
            files[f"{stem}.bin"] = block.content
            files[f"{stem}.der"] = signature_der(block.signature)
            commands.append(
                f"echo {shlex.quote(f'{stem}: {finding.exhibit.title}')}\n"
                f"openssl dgst -sha256 -verify {pem} -signature {stem}.der {stem}.bin || failed=1\n"
            )
    script = '#!/bin/sh\n# Checks every block with openssl alone.\ncd "$(dirname "$0")" || exit 2\nfailed=0\n'
    files["check.sh"] = (script + "".join(commands) + "exit $failed\n").encode()
    return files
