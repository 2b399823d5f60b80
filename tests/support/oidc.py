"""An OpenID Connect provider on loopback: real HTTP, real signatures, PKCE checked; it misbehaves if told."""

import base64
import hashlib
import secrets
import threading
import time
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from joserfc import jwt
from joserfc.jwk import ECKey

CLIENT, SECRET = "node-1", "the node's secret at its provider"
CALLBACK = "https://127.0.0.1:8080/login/oidc/callback"


class Provider:
    """A provider who vouches for whom the test says.

    `claims` go into the next token; `mend` changes its parts just before it is signed.
    """

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", {"kid": "one"})
        self.published = [self.key]
        self.claims: dict[str, Any] = {
            "preferred_username": "li",
            "roles": ["duty"],
            "organization": "公安局",
        }
        self.wrong: dict[str, Any] = {}
        self.algorithm = "ES256"
        self.requests: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        self.app = FastAPI(openapi_url=None)
        self.app.get("/.well-known/openid-configuration")(self.discovery)
        self.app.get("/authorize")(self.authorize)
        self.app.post("/token")(self.token)
        self.app.get("/keys")(self.keys)
        config = uvicorn.Config(
            self.app, host="127.0.0.1", port=0, log_config=None, lifespan="off", ws="none"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            threading.Event().wait(0.005)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.issuer = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)

    async def discovery(self) -> dict[str, Any]:
        self.requests.append("discovery")
        told = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        return told | self.wrong.get("discovery", {})

    async def authorize(self, request: Request) -> Response:
        query = dict(request.query_params)
        assert query["client_id"] == CLIENT
        assert query["redirect_uri"] == CALLBACK
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        back = {"code": code, "state": query["state"], "iss": self.issuer} | self.wrong.get("back", {})
        return RedirectResponse(f"{CALLBACK}?{urlencode(back)}", 303)

    async def token(self, request: Request) -> Response:
        self.requests.append("token")
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        form = dict(parse_qsl((await request.body()).decode()))
        known = base64.b64decode(encoded).decode() if scheme == "Basic" else ""
        if not known.startswith(f"{CLIENT}:"):
            raise HTTPException(401)
        query = self._codes.pop(form["code"], None)
        verifier = form.get("code_verifier", "")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        if query is None or challenge != query["code_challenge"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "7",
            "nonce": query["nonce"],
            "iat": now,
            "exp": now + 300,
        }
        claims |= self.claims | self.wrong.get("claims", {})
        header = {"alg": self.algorithm, "kid": self.key.kid}
        signed = jwt.encode(header, claims, self.wrong.get("key", self.key), algorithms=[self.algorithm])
        return JSONResponse(
            {"access_token": "x", "token_type": "Bearer", "id_token": signed} | self.wrong.get("token", {})
        )

    async def keys(self) -> dict[str, Any]:
        self.requests.append("keys")
        return {"keys": [key.as_dict(private=False) for key in self.published]} | self.wrong.get("keys", {})
