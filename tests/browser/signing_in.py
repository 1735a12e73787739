"""Signing in to a page, as a person does."""

from __future__ import annotations

from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

SECONDS = 120


def sign_in(driver: WebDriver, url: str, user: str, password: str) -> None:
    """Fills the form and sends it, again if need be: one that is still being drawn loses what was typed."""
    driver.get(url)
    typed = {"input[name=username], #username": user, "input[type=password]": password}

    def is_in(_: WebDriver) -> bool:
        if "/login" not in driver.current_url:
            return True
        for selector, text in typed.items():
            field = driver.find_element(By.CSS_SELECTOR, selector)
            field.clear()
            field.send_keys(text)
        driver.find_element(By.CSS_SELECTOR, "button[type=submit], input[type=submit]").click()
        return bool(WebDriverWait(driver, 15).until(lambda there: "/login" not in there.current_url))

    WebDriverWait(driver, SECONDS, ignored_exceptions=[WebDriverException]).until(is_in)
