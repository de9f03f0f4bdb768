"""The pages: login, one's own account, the live page; and their files."""

from functools import partial
from typing import Annotated
from urllib.parse import urlsplit

from anyio import to_thread
from fastapi import APIRouter, Form, Path
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from dashboard.accounts import Refused, Visitor
from dashboard.settings import Screen
from dashboard.texts import OF_SCRIPTS, text
from dashboard.web import STATIC, Desk, language_of
from pcb_bus.contract.times import now_ns, to_rfc3339

_FOR_GOOD_S = 400 * 86_400  # browsers keep no cookie longer
_Text = Annotated[str, Form(max_length=1000)]


def routes(desk: Desk) -> APIRouter:
    """For `make_app`."""
    router = APIRouter()
    _add_public(router, desk)
    _add_login(router, desk)
    _add_account(router, desk)
    _add_kiosks(router, desk)

    @router.get("/")
    def live(request: Request) -> Response:
        language = language_of(request)
        texts = {key: text(key, language) for key in OF_SCRIPTS}
        texts |= desk.labels if language == "ko" else {}
        return desk.render(request, "live.html", texts=texts, sides=desk.settings.sides)

    return router


def _add_public(router: APIRouter, desk: Desk) -> None:
    @router.get("/health")
    def health() -> Response:
        return JSONResponse({"status": "ok", "timestamp": to_rfc3339(now_ns())}, headers={"cache-control": "no-store"})

    @router.get("/static/{name}")
    def static(name: str) -> Response:
        file = STATIC.get(name)
        if file is None:
            raise HTTPException(404)
        headers = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(file.content, media_type=file.media_type, headers=headers)

    @router.get("/screen.css")
    def screen() -> Response:
        chosen = desk.settings.dashboard
        css = f"{_sizes(chosen.screen)}\n@media (max-width: {chosen.tablet.width}px) {{ {_sizes(chosen.tablet)} }}\n"
        return Response(css, media_type="text/css", headers={"cache-control": "no-cache"})


def _sizes(screen: Screen) -> str:
    return f":root {{ --letter: {screen.letter_px}px; --touch: {screen.touch_px}px; }}"


def _add_login(router: APIRouter, desk: Desk) -> None:
    @router.get("/login")
    def login_page(request: Request, next: str = "/") -> Response:  # noqa: A002 - the name in the address
        return desk.render(request, "login.html", username="", error="", wanted=_local(next))

    @router.post("/login")
    async def log_in(request: Request, username: _Text, password: _Text, wanted: _Text = "/") -> Response:
        visitor = desk.visitor(request)
        attempt = partial(desk.accounts.log_in, username, password, desk.now(), visitor.address)
        try:
            token = await to_thread.run_sync(attempt, limiter=desk.logins)
        except Refused as refused:
            shown = {"username": username[:64], "error": refused.key, "wanted": _local(wanted)}
            return desk.render(request, "login.html", 401, **shown)
        response = RedirectResponse(_local(wanted), 303)
        desk.set_cookie(response, desk.cookie, token)
        return response

    @router.post("/logout")
    def log_out(request: Request) -> Response:
        visitor = desk.visitor(request)
        desk.accounts.log_out(request.state.who, visitor.session, desk.now(), visitor.address)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(desk.cookie)
        return response


def _add_account(router: APIRouter, desk: Desk) -> None:
    def show(request: Request, status: int = 200, *, error: str = "", done: str = "", link: str = "") -> Response:
        makes_links = request.state.who.at_least("engineer")
        links = desk.accounts.kiosks() if makes_links else []
        shown = {"error": error, "done": done, "link": link, "links": links, "makes_links": makes_links}
        return desk.render(request, "account.html", status, zone=desk.settings.recorder.zone, **shown)

    @router.get("/account")
    def account(request: Request) -> Response:
        return show(request)

    @router.post("/account/password")
    async def change_password(request: Request, old: _Text, new: _Text, again: _Text) -> Response:
        change = partial(_change_password, desk, request, old, new, again)
        error = await to_thread.run_sync(change, limiter=desk.logins)
        if not error:
            return RedirectResponse("/", 303)
        return await to_thread.run_sync(partial(show, request, 422, error=error))

    @router.post("/account/kiosks")
    def make_kiosk(request: Request, name: _Text) -> Response:
        visitor = desk.visitor(request)
        try:
            token = desk.accounts.make_token(request.state.who, name, ["kiosk"], desk.now(), visitor.address)
        except Refused as refused:
            return show(request, 422, error=refused.key)
        return show(request, link=f"{request.base_url}kiosk/{token}")

    @router.post("/account/kiosks/{link_id}/revoke")
    def revoke(request: Request, link_id: Annotated[int, Path(ge=1, le=2**62)]) -> Response:
        try:
            address = desk.visitor(request).address
            desk.accounts.revoke(request.state.who, link_id, desk.now(), address, screens=True)
        except Refused as refused:
            return show(request, 404, error=refused.key)
        return RedirectResponse("/account", 303)


def _change_password(desk: Desk, request: Request, old: str, new: str, again: str) -> str:
    """The key of what is wrong; empty: it is changed."""
    try:
        if new != again:
            raise Refused("password_differ")
        desk.accounts.change_password(request.state.who, old, new, desk.now(), desk.visitor(request))
    except Refused as refused:
        return refused.key
    return ""


def _add_kiosks(router: APIRouter, desk: Desk) -> None:
    @router.get("/kiosk/{token}")
    def kiosk(request: Request, token: str) -> Response:
        who = desk.accounts.identify(Visitor(kiosk=token), desk.now())
        response = desk.render(request, "kiosk.html", 200 if who else 404, good=who is not None)
        if who is not None:
            desk.set_cookie(response, desk.kiosk_cookie, token, _FOR_GOOD_S)
        return response


def _local(address: str) -> str:
    """The address if it is a path of ours, else the first page: a login leads to no other site."""
    parts = urlsplit(address) if address.isprintable() else None
    harmless = parts and not (parts.scheme or parts.netloc) and address.startswith("/") and "\\" not in address
    return address if harmless and not address.startswith("//") else "/"
