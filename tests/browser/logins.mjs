// People who connect accounts by logging in: argv[2] is a JSON list of logins, one after the other in new browser contexts; the answer,
// on stdout, is the list of what each of them saw last.
//
//   url       where the person begins
//   accounts  the accounts or Pages they leave ticked, by their value; everything as it is if missing
//   withhold  the permissions they untick
//   decision  allow or cancel
//   page      the Page they choose when they are asked which one it is
//   width     the width of the window
//   picture   where to store a picture of the last page

import { launch } from "./chromium.mjs";

const browser = await launch();

async function logIn(login) {
  const context = await browser.newContext({ viewport: { width: login.width ?? 1024, height: 800 } });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const complaints = [];
  page.on("console", (message) => {
    const isIcon = message.location().url.endsWith("/favicon.ico");
    if (["error", "warning"].includes(message.type()) && !isIcon) complaints.push(message.text());
  });
  await page.goto(login.url);
  if (login.decision) {
    if (login.accounts) {
      for (const box of await page.locator("input[name=account], input[name=page]").all()) {
        const wanted = login.accounts.includes(await box.getAttribute("value"));
        if (wanted) await box.check();
        else if ((await box.getAttribute("type")) === "checkbox") await box.uncheck();
      }
    }
    for (const scope of login.withhold ?? []) await page.locator(`input[name=scope][value=${scope}]`).uncheck();
    await page.locator(`button[value=${login.decision}]`).click();
  }
  if (login.page) {
    await page.getByRole("heading", { name: "Choose a Facebook Page" }).waitFor();
    await page.locator(`input[value="${login.page}"]`).check();
    await page.getByRole("button", { name: "Connect" }).click();
    await page.getByRole("heading", { name: "Choose a Facebook Page" }).waitFor({ state: "detached" });
  }
  await page.waitForLoadState();
  if (login.picture) await page.screenshot({ path: login.picture, fullPage: true });
  const seen = { url: page.url(), heading: await page.locator("h1").innerText(), complaints };
  await context.close();
  return seen;
}

try {
  const seen = [];
  for (const login of JSON.parse(process.argv[2])) seen.push(await logIn(login));
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
