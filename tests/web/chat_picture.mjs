// The picture of a conversation in docs/screenshots, taken over the simulated Ollama. `screenshots.py` starts the server.

import { createRequire } from "node:module";
import { join } from "node:path";

const told = JSON.parse(process.env.CORRAL_BROWSER);
const { chromium } = createRequire(`${told.modules}/`)("playwright-core");
const browser = await chromium.launch({ executablePath: told.chromium, args: ["--no-sandbox", "--disable-gpu", "--no-first-run"] });
const page = await (await browser.newContext({ viewport: { width: 1280, height: 1120 } })).newPage();

const say = async (text) => {
  await page.locator(".box [type=submit]:enabled").waitFor();
  await page.fill(".box textarea", text);
  await page.keyboard.press("Enter");
};

await page.goto(told.signin);
await page.waitForURL(`${told.address}/`);
for (const [agent, first] of [...told.earlier, ["ask", told.question]]) {
  await page.goto(`${told.address}/#/sessions`);
  await page.locator(`option[value=${agent}]`).waitFor({ state: "attached" });
  await page.fill("[name=workspace]", told.folder);
  await page.selectOption("[name=agent]", agent);
  await say(first);
  await page.waitForURL(/#\/sessions\/./);
  await page.locator(".chip.status", { hasText: /^ready$/ }).waitFor();
}
await page.getByLabel("Who answers the next message").selectOption("coder");
await say(told.wish);
await page.locator('.asked .approval button[aria-disabled="false"]').first().waitFor();
await page.locator(".runs a", { hasText: "needs you" }).waitFor();
await page.waitForTimeout(250); // a frame, and fonts
await page.screenshot({ path: join(told.out, "chat-light.png") });
await browser.close();
