"""Both boards of Superset in headless Chromium, each as the role it is meant for: drawn, filtered, and proof against text from outside."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
import yaml
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from stack.installation import REPO, Installation
from stack.report import query
from tests.browser.signing_in import sign_in
from tests.browser.test_pages import FLAGS

pytestmark = pytest.mark.browser

SECONDS = 120
FOLDER = REPO / "include" / "dashboards" / "superset" / "dashboards"
ROLES = {"lakehouse_analytics": "analyst", "lakehouse_operations": "ops"}
CANDLES = "Candlestick and volume by day, 30 days"
PIVOT = "Daily average price and volume, 30 days"
PRICES = "Average last price by hour, 7 days"
EXCHANGES = "Volume by exchange, 7 days"
LOG = "Application log, newest first"
HOSTILE = "<img src=x onerror=\"document.title='OWNED'\"><script>document.title='OWNED'</script>"
# Keeps what each chart was answered, by its name: what stands on a canvas cannot be read from the page.
LISTEN = """
window.answers = {};
const real = window.fetch;
window.fetch = async (...call) => {
  const answer = await real(...call);
  if (String(call[0].url || call[0]).includes('/api/v1/chart/data')) {
    const body = await answer.clone().json();
    const asked = JSON.parse(call[1].body).form_data;
    if (asked.slice_id) window.answers[asked.slice_id] = (body.result || [{error: JSON.stringify(body)}])[0];
  }
  return answer;
};
"""


def _board(name: str) -> dict[str, Any]:
    board: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return board


def _places(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [item["meta"] for item in board["position"].values() if isinstance(item, dict) and item["type"] == "CHART"]


class Person:
    """Somebody signed in to Superset, in a window of their own."""

    def __init__(self, driver: WebDriver, stack: Installation) -> None:
        self.driver, self._stack = driver, stack
        self._base = f"http://localhost:{stack.ports['superset']}"

    def sign_in(self, user: str) -> None:
        sign_in(self.driver, f"{self._base}/login/", user, self._stack.secrets[f"SUPERSET_{user.upper()}_PASSWORD"])
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LISTEN})  # type: ignore[attr-defined]

    def open(self, slug: str, filters: str = "") -> float:
        """The board, until nothing in the window is loading any more; seconds that this took."""
        started = time.monotonic()
        self.driver.get(f"{self._base}/superset/dashboard/{slug}/" + (f"?native_filters={quote(filters)}" if filters else ""))
        self.wait_for("[data-test-chart-name]")
        WebDriverWait(self.driver, SECONDS, poll_frequency=0.1).until(lambda _: self._is_drawn())
        return time.monotonic() - started

    def _is_drawn(self) -> bool:
        script = """
        const seen = [...document.querySelectorAll('[data-test-chart-name]')].filter(one => one.getBoundingClientRect().top < innerHeight);
        return seen.length > 0 && seen.every(one => !one.querySelector('[data-test=loading-indicator], .loading')
          && one.querySelector('[data-test=slice-container], [role=alert], [data-test=error-modal], .ant-alert'));
        """
        return bool(self.driver.execute_script(script))

    def picture(self, path: Path) -> None:
        """What the window shows once nothing moves in it any more: charts and tables come in with an animation."""
        seen: list[str] = []

        def still(driver: WebDriver) -> bool:
            seen.append(driver.get_screenshot_as_base64())
            return seen[-1] in seen[-2:-1]

        WebDriverWait(self.driver, SECONDS, poll_frequency=1).until(still)
        self.driver.save_screenshot(str(path))

    def wait_for(self, selector: str) -> None:
        WebDriverWait(self.driver, SECONDS).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, selector))

    def chart(self, name: str) -> Any:
        """The place of a chart on the page."""
        return self.driver.find_element(By.CSS_SELECTOR, f'[data-test-chart-name="{name}"]')

    def answer(self, name: str) -> dict[str, Any]:
        """What the chart was answered."""
        number = self.chart(name).get_attribute("data-test-chart-id")
        answer: dict[str, Any] = WebDriverWait(self.driver, SECONDS).until(
            lambda driver: driver.execute_script("return window.answers[arguments[0]]", number)
        )
        return answer


@pytest.fixture
def person(tmp_path: Path, stack: Installation) -> Iterator[Person]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in [*FLAGS, f"--user-data-dir={tmp_path}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    # Tall enough for a whole board: Superset draws what is near the window.
    size = {"width": 1366, "height": 5400, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield Person(driver, stack)
    driver.quit()


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _chosen(name: str, column: str, value: str) -> str:
    state = f"(extraFormData:(filters:!((col:{column},op:IN,val:!('{value}')))),filterState:(value:!('{value}')),id:NATIVE_FILTER-{name})"
    return f"(NATIVE_FILTER-{name}:{state})"


def _time(range_: str) -> str:
    days = f"'{range_}'"
    return f"(NATIVE_FILTER-time:(extraFormData:(time_range:{days}),filterState:(value:{days}),id:NATIVE_FILTER-time))"


@pytest.mark.checklist("superset", 8)
@pytest.mark.parametrize("name", ROLES)
def test_every_chart_of_a_board_is_drawn(
    person: Person, stack: Installation, pipeline: dict[str, object], name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    board = _board(name)
    person.sign_in(ROLES[name])
    first = person.open(board["slug"])
    folder = stack.state / "screenshots"
    folder.mkdir(exist_ok=True)
    names = [one.get_attribute("data-test-chart-name") for one in person.driver.find_elements(By.CSS_SELECTOR, "[data-test-chart-name]")]
    assert sorted(names) == sorted(place["sliceName"] for place in _places(board))
    wrong = {}
    for place in _places(board):
        text = person.chart(place["sliceName"]).text
        empty = "No results were returned" in text or not person.answer(place["sliceName"]).get("rowcount")
        if "error" in text.lower().splitlines() or "Data error" in text or (empty and not place.get("mayBeEmpty")):
            wrong[place["sliceName"]] = text[:300]
    assert wrong == {}
    person.picture(folder / f"superset-{board['slug']}.png")
    # With Superset's own cache, and in a window of the size that people have.
    person.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})  # type: ignore[attr-defined]
    person.driver.set_window_size(1366, 768)
    again = person.open(board["slug"])
    said = f"{board['dashboard_title']} as {ROLES[name]}: the whole board {first:.1f} s, again in a laptop's window {again:.1f} s"
    with capfd.disabled():
        sys.stdout.write(f"\n{said}\n")


def test_the_candles_are_real(person: Person, pipeline: dict[str, object]) -> None:
    person.sign_in("analyst")
    person.open("lakehouse-analytics")
    chart = person.chart(CANDLES)
    figures = [span.get_attribute("title") for span in chart.find_elements(By.CSS_SELECTOR, "td span[title]")]
    shown = re.compile(r"(\d{4}-\d\d-\d\d): open ([\d,.]+), high ([\d,.]+), low ([\d,.]+), close ([\d,.]+), volume ([\d,]+)")
    found = [shown.fullmatch(title or "") for title in figures]
    assert found
    assert all(found)
    for one in found:
        assert one
        opened, high, low, close = (float(one.group(number).replace(",", "")) for number in (2, 3, 4, 5))
        assert low <= min(opened, close) <= max(opened, close) <= high
    # Each day is a wick, a body, a bar of volume and what the pointer finds; the wick is as long as high and low say.
    parts = chart.find_elements(By.CSS_SELECTOR, "td div > div")
    coloured = [part for part in parts if re.search(r"26, 152, 80|215, 48, 39", part.get_attribute("style") or "")]
    assert len(coloured) == 3 * len(figures)
    wicks = coloured[::3]
    assert max(wick.rect["height"] for wick in wicks) > 20
    assert all(wick.rect["y"] <= body.rect["y"] + 1 for wick, body in zip(wicks, coloured[1::3], strict=True))


def test_the_boards_filters_change_its_charts(person: Person, stack: Installation, pipeline: dict[str, object]) -> None:
    person.sign_in("analyst")
    person.open("lakehouse-analytics")
    before = {name: person.answer(name) for name in (PIVOT, PRICES, EXCHANGES, LOG)}
    symbol = "SPY25C400"

    person.open("lakehouse-analytics", _chosen("symbol", "symbol", symbol))
    assert person.chart(CANDLES).find_element(By.CSS_SELECTOR, "td").text.splitlines()[0] == symbol
    assert len(person.chart(CANDLES).find_elements(By.CSS_SELECTOR, "tbody tr")) == 1
    assert len({row["symbol"] for row in before[PIVOT]["data"]}) > len({row["symbol"] for row in person.answer(PIVOT)["data"]}) == 1
    assert set(person.answer(PRICES)["colnames"]) == {"timestamp", symbol}
    assert person.answer(LOG)["data"] == before[LOG]["data"]

    exchange = next(column for column in before[EXCHANGES]["colnames"] if column not in ("timestamp", "<NULL>"))
    person.open("lakehouse-analytics", _chosen("exchange", "exchange", exchange))
    assert set(before[EXCHANGES]["colnames"]) > set(person.answer(EXCHANGES)["colnames"]) == {"timestamp", exchange}
    assert person.answer(PIVOT)["data"] == before[PIVOT]["data"]

    oldest = query(
        stack, "SELECT CAST(min(date) AS VARCHAR), CAST(min(date) + INTERVAL '1' DAY AS VARCHAR) FROM option_ticks_db.daily_option_summary"
    )[0]
    person.open("lakehouse-analytics", _time(" : ".join(oldest)))
    rows = person.answer(PIVOT)["data"]
    assert 0 < len({row["date"] for row in rows}) == 1 < len({row["date"] for row in before[PIVOT]["data"]})


def test_a_click_on_a_symbol_filters_the_other_charts(person: Person, pipeline: dict[str, object]) -> None:
    person.sign_in("analyst")
    person.open("lakehouse-analytics")
    head = next(
        one for one in person.chart(PIVOT).find_elements(By.CSS_SELECTOR, "th.pvtColLabel")[1:] if re.fullmatch(r"[A-Z]+\d.*", one.text)
    )
    symbol = head.text
    person.driver.execute_script("arguments[0].click()", head)
    WebDriverWait(person.driver, SECONDS, ignored_exceptions=[StaleElementReferenceException]).until(
        lambda _: [row.text.splitlines()[0] for row in person.chart(CANDLES).find_elements(By.CSS_SELECTOR, "tbody tr")] == [symbol]
    )


PLANTED = {
    LOG: (
        "INSERT INTO logs_db.raw_logs (log_id, event_time, level, message, meta, ingest_time) "
        "VALUES ({id}, current_timestamp, 'ERROR', {text}, {meta}, current_timestamp)"
    ),
    "Refused records, newest first": (
        "INSERT INTO ops_db.refused_records (refusal_id, table_name, record_key, place, reason, detail, masked, refused_at) "
        "VALUES ({id}, 'test_db.hostile', 'k', 'p', 'schema', '<b>bold</b>', {text}, current_timestamp)"
    ),
}


@pytest.mark.parametrize(("name", "chart"), list(zip(ROLES, PLANTED, strict=True)))
def test_html_from_outside_is_shown_as_text(
    person: Person, stack: Installation, pipeline: dict[str, object], name: str, chart: str
) -> None:
    meta = json.dumps({"user": HOSTILE, "order_id": "<b>bold</b>"})
    # It stays there: a log line that is deleted stops the shipping of logs.
    query(stack, PLANTED[chart].format(id=_literal(f"hostile-{uuid4()}"), text=_literal(HOSTILE), meta=_literal(meta)))
    person.sign_in(ROLES[name])
    person.open(_board(name)["slug"], _time("Current day"))
    assert person.answer(chart)["rowcount"]
    person.wait_for(f'[data-test-chart-name="{chart}"] tbody td')
    cells = [cell.text for cell in person.chart(chart).find_elements(By.CSS_SELECTOR, "td")]
    # Superset takes the script's tag out first, and shows the rest as text.
    assert any(cell.startswith("<img src") and "document.title='OWNED'" in cell for cell in cells), cells[:20]
    assert "<b>bold</b>" in cells
    assert person.chart(chart).find_elements(By.CSS_SELECTOR, "td img, td script, td b") == []
    assert "OWNED" not in person.driver.title
