#!/usr/bin/python3
"""Opens the status page in headless Chromium with scripts switched off, at desk and phone width, light and dark;
finds a message by the search form, and clicks through to its timeline.

  open_page.py URL TERM RECIPIENT FOLDER    screenshots go to FOLDER

Prints one line of JSON of what it saw. Exits 1 and says what is wrong otherwise.
"""
import base64
import json
import os
import pathlib
import sys
import time
from urllib.parse import quote_plus

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

url, term, recipient, folder = sys.argv[1:5]
folder = pathlib.Path(folder)


def need(condition, what):
    if not condition:
        sys.exit("wrong: " + what)


def options():
    chosen = webdriver.ChromeOptions()
    chosen.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                     "--no-first-run", "--disable-background-networking", "--disable-extensions",
                     "--user-data-dir=%s" % (folder / "profile")):
        chosen.add_argument(argument)
    # The sandbox refuses to be root, and needs user namespaces otherwise; we open our own page only.
    chosen.add_argument("--no-sandbox")
    chosen.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return chosen


class Browser:
    def __init__(self):
        os.environ["HOME"] = str(folder)  # whoever runs this may have none to write to
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options())
        self.driver.set_page_load_timeout(60)
        self.driver.implicitly_wait(30)
        self.cdp("Emulation.setScriptExecutionDisabled", value=True)

    def cdp(self, command, **arguments):
        return self.driver.execute_cdp_cmd(command, arguments)

    def look(self, width, height, dark):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                 mobile=width < 600)
        self.cdp("Emulation.setEmulatedMedia",
                 features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def shoot(self, name):
        size = self.cdp("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 4000), "scale": 1}
        shot = self.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        (folder / name).write_bytes(base64.b64decode(shot["data"]))

    def expect_no_overflow(self, width, where):
        wide = self.cdp("Page.getLayoutMetrics")["cssContentSize"]["width"]
        need(wide <= width, "%s is %d px wide at a width of %d" % (where, wide, width))

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    # Sends the form and waits until its answer is there.
    def find(self, term):
        before = self.one("html").id
        field = self.one("input[name=q]")
        field.clear()
        field.send_keys(term)
        self.one("form button").click()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if self.one("html").id != before and self.driver.current_url.endswith("?q=" + quote_plus(term)):
                    return
            except WebDriverException:
                pass  # between two pages
            time.sleep(0.05)
        need(False, "no answer to the form: " + self.driver.current_url)


def main():
    browser = Browser()
    driver = browser.driver
    try:
        seen = {}
        for kind, width, height in (("desk", 1280, 900), ("phone", 390, 844)):
            for dark in (False, True):
                browser.look(width, height, dark)
                driver.get(url)
                browser.shoot("status-%s-%s.png" % (kind, "dark" if dark else "light"))
                browser.expect_no_overflow(width, "the status page")
        seen["title"] = driver.title
        seen["state"] = browser.one("h1 .pill").text
        # The style was let through: a tile has a border of its own.
        need(browser.one(".tile").value_of_css_property("border-top-style") == "solid", "the style is not applied")
        driver.implicitly_wait(0)
        need(not driver.find_elements(By.CSS_SELECTOR, "script, img, iframe, object, link"), "a foreign element")
        driver.implicitly_wait(30)

        for kind, width, height in (("desk", 1280, 900), ("phone", 390, 844)):
            browser.look(width, height, False)
            driver.get(url)
            browser.find(term)
            found = browser.one("#found")
            need(recipient in found.text, "the search did not find " + recipient)
            browser.shoot("search-%s.png" % kind)
            browser.expect_no_overflow(width, "the search")
            need(browser.one("input[name=q]").get_attribute("value") == term, "the term is not kept in the field")
            found.find_element(By.CSS_SELECTOR, "a").click()
            seen["timeline"] = browser.one("#timeline").text
            need(recipient in browser.one("#recipients").text, "the message does not name its recipient")
            browser.shoot("message-%s.png" % kind)
            browser.expect_no_overflow(width, "the message")
            # Its id leads to the same message.
            browser.find(browser.one("input[name=q]").get_attribute("value"))
            need(browser.one("#timeline").text == seen["timeline"], "the id does not lead to its message")
        browser.find("nobody-at-all")
        need(browser.one("#nothing").text, "a search without a result does not say so")
        complaints = [entry["message"] for entry in driver.get_log("browser") if "favicon" not in entry["message"]]
        need(not complaints, "the console says: " + "; ".join(complaints))
        print(json.dumps(seen))
    finally:
        driver.quit()


main()
