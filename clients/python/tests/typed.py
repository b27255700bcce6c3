"""Checked by mypy --strict, never run: what a user's type checker knows of a cached function."""

from typing import TYPE_CHECKING

from corral import AsyncCorral, Corral

if TYPE_CHECKING:
    from typing_extensions import assert_type

    cache, later = Corral("redis://localhost"), AsyncCorral("redis://localhost")

    @cache.cached("report:{day}", ignore=["full"], ttl=60, tags=["reports"])
    def report(day: str, *, full: bool = False) -> dict[str, int]:
        return {day: int(full)}

    @later.cached("page:{number}")
    async def page(number: int) -> str:
        return str(number)

    async def calls() -> None:
        assert_type(report("monday", full=True), dict[str, int])
        assert_type(report.refresh("monday"), dict[str, int])
        assert_type(report.key("monday"), str)
        assert_type(cache.get_or_build("k", lambda: 1, ttl=60), int)
        assert_type(await page(1), str)
        await page.invalidate(1)
        report.invalidate("monday")
        report(7)  # type: ignore[arg-type]
        page("7")  # type: ignore[arg-type]
        cache.get_or_build("k", lambda: 1, tll=60)  # type: ignore[call-arg]
