"""The page at GET / and the API description at GET /docs, from files of this package, the theme and fastapi-offline."""

from importlib.resources import files

from fastapi import APIRouter, Response

from sentiment.serving.openapi import Responses

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
# Swagger UI sets style attributes, which need 'unsafe-inline'; scripts do not
DOCS_POLICY = PAGE_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
ASSETS = {
    "theme.css": ("sentiment.theme", "text/css"),
    "page.css": ("sentiment.serving", "text/css"),
    **{
        f"{name}.js": ("sentiment.serving", "text/javascript")
        for name in ("page", "review", "list", "table", "csv", "docs")
    },
    "swagger-ui.css": ("fastapi_offline", "text/css"),
    "swagger-ui-bundle.js": ("fastapi_offline", "text/javascript"),
}
PATHS = ("/", "/docs", *(f"/assets/{name}" for name in ASSETS))

router = APIRouter()
HTML: Responses = {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}


def page(name: str, policy: str) -> Response:
    """Return an HTML file of this package with its Content-Security-Policy."""
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}
    return Response(read("sentiment.serving", name), headers=headers, media_type="text/html")


def read(package: str, name: str) -> bytes:
    """Return the content of a package's static file."""
    return (files(package) / "static" / name).read_bytes()


@router.get("/", summary="The page", response_class=Response, responses={**HTML})
async def home() -> Response:
    """Return the page."""
    return page("page.html", PAGE_POLICY)


@router.get("/docs", summary="This description", response_class=Response, responses={**HTML})
async def docs() -> Response:
    """Return the description of the API."""
    return page("docs.html", DOCS_POLICY)


def add_asset(name: str, package: str, media_type: str) -> None:
    """Serve one file under /assets; there is no path that names any other."""
    content = read(package, name)

    @router.get(f"/assets/{name}", include_in_schema=False)
    async def asset() -> Response:
        return Response(content, headers={"Cache-Control": "no-cache"}, media_type=media_type)


for asset_name, (asset_package, asset_type) in ASSETS.items():
    add_asset(asset_name, asset_package, asset_type)
