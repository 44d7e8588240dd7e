// The pictures of docs/screenshots, taken of a real run over the simulated Ollama. `screenshots.py` starts the server.

import { createRequire } from "node:module";
import { join } from "node:path";

const told = JSON.parse(process.env.CORRAL_BROWSER);
const { chromium } = createRequire(`${told.modules}/`)("playwright-core");
const browser = await chromium.launch({ executablePath: told.chromium, args: ["--no-sandbox", "--disable-gpu", "--no-first-run"] });
const context = await browser.newContext({ viewport: { width: 1440, height: 960 } });
const page = await context.newPage();

const as = async (name, { scheme = "light", width = 1440, height = 960 } = {}) => {
  await page.emulateMedia({ colorScheme: scheme });
  await page.setViewportSize({ width, height });
  await page.waitForTimeout(250); // a frame, and fonts
  if (await page.locator(".approval").isVisible()) await settled(); // another size has moved it
  await page.screenshot({ path: join(told.out, `${name}.png`) });
};
const open = (hash) => page.goto(`${told.address}/${hash}`);
const start = async (task, approve, candidates) => {
  await open("#/");
  await page.fill("[name=task]", task);
  await page.fill("[name=repo]", told.repository);
  await page.fill("[name=candidates]", candidates);
  for (const gate of ["plan", "patch"]) await page.locator(`[name=approve][value=${gate}]`).setChecked(approve.includes(gate));
  await page.click("text=Start");
  await page.waitForURL(/#\/runs\//);
};
/** The question has stood for long enough to be answered. */
const settled = async () => {
  await page.waitForTimeout(200); // what has moved is seen to have
  await page.locator('.approval .answers button[aria-disabled="false"]').first().waitFor();
};
const over = () => page.locator(".verdict .next").waitFor();
const asked = async (what) => {
  await page.locator(".approval h2", { hasText: what }).waitFor();
  await settled();
};
const approve = async () => {
  await settled();
  await page.keyboard.press("a");
};

await page.goto(told.signin);
await page.waitForURL(`${told.address}/`);
await start(told.tasks[0], [], "");
await over();
await start(told.tasks[1], [], "");
await over();

await start(told.tasks[2], ["plan", "patch"], "3");
await asked("Go on with this plan?");
await as("plan-dark", { scheme: "dark" });
await approve();
await page.locator('.graph.wide [data-node="coder"][data-state="running"]').waitFor();
await page.locator(".entry.call[data-state=streaming] .written").first().waitFor();
await page.waitForTimeout(1500);
await as("live-light");
await asked("Do you want this patch?");
await as("approve-phone-dark", { scheme: "dark", width: 390, height: 844 });
await as("approve-light");
await approve();
await over();
await as("done-phone-light", { width: 390, height: 844 });
await page.keyboard.press("3");
await page.locator(".testrun").first().waitFor();
await as("tests-dark", { scheme: "dark" });
await page.keyboard.press("4");
await page.locator(".timeline").waitFor();
await as("timeline-light");
await open("#/");
await page.locator("form.start").waitFor();
await page.fill("[name=task]", "Add a --json option to the command line, with a test");
await as("start-dark", { scheme: "dark" });
await browser.close();
