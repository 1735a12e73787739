"""A person signs in to Superset and to Airflow in headless Chromium and sees the data; screenshots are kept in `var/test/screenshots`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from stack.installation import Installation
from tests.browser.signing_in import sign_in

pytestmark = pytest.mark.browser

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1400,1300",
]
SECONDS = 60


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[WebDriver]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in [*FLAGS, f"--user-data-dir={tmp_path}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    yield driver
    driver.quit()


@pytest.fixture
def screenshots(stack: Installation) -> Path:
    folder = stack.state / "screenshots"
    folder.mkdir(exist_ok=True)
    return folder


def _wait(browser: WebDriver, selector: str, count: int = 1) -> None:
    WebDriverWait(browser, SECONDS).until(lambda driver: len(driver.find_elements(By.CSS_SELECTOR, selector)) >= count)


def _wait_until_still(browser: WebDriver) -> None:
    """Charts are drawn step by step: wait until two pictures in a row are the same."""
    seen: list[bytes] = []

    def still(driver: WebDriver) -> bool:
        seen.append(driver.get_screenshot_as_png())
        return seen[-1] in seen[-2:-1]

    WebDriverWait(browser, SECONDS, poll_frequency=1).until(still)


@pytest.mark.checklist("superset", 8)
@pytest.mark.checklist("superset", 13)
def test_a_viewer_sees_the_board_and_the_symbols_of_the_role_alone(
    browser: WebDriver, stack: Installation, pipeline: dict[str, object], screenshots: Path
) -> None:
    base = f"http://localhost:{stack.ports['superset']}"
    sign_in(browser, f"{base}/login/", "viewer", stack.secrets["SUPERSET_VIEWER_PASSWORD"])
    browser.get(f"{base}/superset/dashboard/lakehouse-analytics/?standalone=1")
    _wait(browser, "[data-test=slice-container] canvas, .echarts canvas, canvas", 2)
    _wait(browser, "table.pvtTable tr", 5)
    WebDriverWait(browser, SECONDS).until(
        lambda driver: not driver.find_elements(By.CSS_SELECTOR, "[data-test=loading-indicator], .loading")
    )
    _wait_until_still(browser)
    browser.save_screenshot(str(screenshots / "superset.png"))
    text = browser.find_element(By.TAG_NAME, "body").text
    assert "SPY25C4" in text
    assert "ESZ25C5000" not in text
    assert "Unexpected error" not in text
    assert "No results were returned" not in text


def test_airflow_shows_the_run_and_its_runbook(
    browser: WebDriver, stack: Installation, pipeline: dict[str, object], screenshots: Path
) -> None:
    base = f"http://localhost:{stack.ports['airflow']}"
    sign_in(browser, f"{base}/auth/login/", "admin", stack.secrets["AIRFLOW_ADMIN_PASSWORD"])
    browser.get(f"{base}/dags")
    WebDriverWait(browser, SECONDS).until(lambda driver: "bronze_option_ticks" in driver.find_element(By.TAG_NAME, "body").text)
    browser.save_screenshot(str(screenshots / "airflow.png"))
    browser.get(f"{base}/lakehouse/runbooks/bronze_option_ticks")
    text = browser.find_element(By.TAG_NAME, "body").text
    browser.save_screenshot(str(screenshots / "runbook.png"))
    assert "When to wake someone" in text
    for width, name in ((1366, "on-call"), (420, "on-call-narrow")):
        browser.set_window_size(width, 1000)
        browser.get(f"{base}/lakehouse/on-call")
        body = browser.find_element(By.TAG_NAME, "body")
        browser.save_screenshot(str(screenshots / f"{name}.png"))
        assert "trino_million_rows" in body.text
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth"), f"{width} pixels are too few"
        assert not browser.find_elements(By.CSS_SELECTOR, ".error")


def test_the_gallery_draws_a_page_of_thumbnails_in_a_wide_and_a_narrow_window(
    browser: WebDriver, stack: Installation, pipeline: dict[str, object], screenshots: Path
) -> None:
    thumbnails = "[data-testid=stImage] img"
    browser.get(f"http://localhost:{stack.ports['gallery']}/")
    _wait(browser, thumbnails, 20)
    WebDriverWait(browser, SECONDS).until(
        lambda driver: all(image.get_property("naturalWidth") for image in driver.find_elements(By.CSS_SELECTOR, thumbnails))
    )
    assert len(browser.find_elements(By.CSS_SELECTOR, thumbnails)) == 20
    _wait(browser, "[data-testid=stMetric]", 4)
    assert _columns(browser, thumbnails) == 4
    browser.find_element(By.CSS_SELECTOR, "[data-testid=stExpander] summary").click()
    WebDriverWait(browser, SECONDS).until(lambda driver: "Perceptual hash" in driver.find_element(By.TAG_NAME, "body").text)
    browser.save_screenshot(str(screenshots / "gallery.png"))

    browser.set_window_size(500, 1000)
    WebDriverWait(browser, SECONDS).until(lambda driver: _columns(driver, thumbnails) < 4)
    _wait_until_still(browser)
    browser.save_screenshot(str(screenshots / "gallery-narrow.png"))
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    from_elsewhere = [
        entry["name"]
        for entry in browser.execute_script("return performance.getEntriesByType('resource')")
        if not entry["name"].startswith((f"http://localhost:{stack.ports['gallery']}/", "data:", "blob:"))
    ]
    assert from_elsewhere == []


def _columns(browser: WebDriver, selector: str) -> int:
    """How many of the elements are in the topmost row."""
    places = [element.rect for element in browser.find_elements(By.CSS_SELECTOR, selector)]
    return sum(abs(place["y"] - places[0]["y"]) < 100 for place in places)
