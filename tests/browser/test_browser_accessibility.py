"""What an automatic tester of accessibility (axe) finds on the pages: nothing serious, everything unfolded."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import Visit
from sample_station import BILL

pytestmark = pytest.mark.browser

PAGES = (
    "/",
    "/meters",
    "/meters/0500151122aabb",
    "/bills",
    f"/bills/{BILL.bill_id}",
    "/panels/e320/0",
    "/panels/e750/0",
)


@pytest.mark.parametrize("visit", [("light", "desktop", "en"), ("dark", "phone", "de")], indirect=True)
def test_axe_finds_nothing_serious(visit: Visit) -> None:
    """Contrast, names, roles, landmarks: on every kind of page, in both themes, with every drawer open."""
    found = []
    for path in PAGES:
        page = visit.open(path)
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        page.wait_for_timeout(600)
        for violation in Axe().run(page).response["violations"]:
            if violation["impact"] in ("moderate", "serious", "critical"):
                nodes = [node["html"][:120] for node in violation["nodes"][:3]]
                found.append(f"{path}: {violation['id']} ({violation['impact']}): {violation['help']} {nodes}")
    assert not found, "\n".join(found)
