"""Signs with PyJWT: [{"header", "payload" (base64url), "pem"}] on standard input, the tokens on standard output."""

import json
import sys

from jwt.api_jws import PyJWS
from jwt.utils import base64url_decode

jobs = json.load(sys.stdin)
json.dump(
    [PyJWS().encode(base64url_decode(job["payload"]), job["pem"], job["header"]["alg"], {"typ": "", **job["header"]}) for job in jobs],
    sys.stdout,
)
