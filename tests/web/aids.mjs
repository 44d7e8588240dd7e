// What the tests in a browser share: a line that can be cut, and the checker of accessibility.

import { createRequire } from "node:module";
import { connect, createServer } from "node:net";

/** A line to the server that can be cut and mended. @param {string} to its address */
export async function relayTo(to) {
  const { hostname, port } = new URL(to);
  const open = new Set();
  const kept = (socket) => open.add(socket.on("error", () => socket.destroy()).on("close", () => open.delete(socket)));
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const [one, other] of [[near, far], [far, near]]) kept(one).has(one) && one.pipe(other);
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
  });
  const listen = (at) => new Promise((resolve) => server.listen(at, hostname, resolve));
  await listen(0);
  const at = server.address().port;
  const cut = () => {
    server.close();
    for (const socket of open) socket.destroy();
  };
  return { address: `http://${hostname}:${at}`, cut, mend: () => listen(at) };
}

/** Serious faults that axe finds. @param {string} modules where the checker is installed */
export async function faults(page, modules) {
  await page.evaluate(createRequire(`${modules}/`)("axe-core").source); // by the driver, which the page's policy does not bind
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations
    .filter((each) => ["serious", "critical"].includes(each.impact))
    .map((each) => `${each.id}: ${each.nodes.slice(0, 3).map((node) => node.target.join(" ")).join(", ")}`);
}
