// How long a page takes to answer a click, from the event to the paint that shows the answer.

/** When an answer is not waited for any longer, in milliseconds. */
const PATIENCE = 5_000;

/**
 * Clicks `target` and waits in the page until `isAnswered` (a function for the page, called with
 * `argument`) is true and painted. Answers milliseconds since the click happened, at most those of
 * `PATIENCE` and a frame.
 */
export async function timeToAnswer(page, target, isAnswered, argument) {
  await page.evaluate(
    ([source, argument, patience]) => {
      const isAnswered = new Function(`return (${source})`)();
      window.ieumAnswer = new Promise((resolve) => {
        const onClick = (event) => {
          const check = () => {
            const isLate = performance.now() - event.timeStamp > patience;
            if (!isAnswered(argument) && !isLate) return requestAnimationFrame(check);
            // A message is handled behind the paint of this frame.
            const { port1, port2 } = new MessageChannel();
            port1.onmessage = () => resolve(performance.now() - event.timeStamp);
            port2.postMessage(null);
          };
          requestAnimationFrame(check);
        };
        document.addEventListener("click", onClick, { capture: true, once: true });
      });
    },
    [isAnswered.toString(), argument, PATIENCE],
  );
  await target.click();
  return page.evaluate(() => window.ieumAnswer);
}

/** The middle of some figures. */
export function median(figures) {
  const sorted = figures.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** The bytes of bodies that came over the wire, as compressed, since this was called. */
export async function countBytes(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  const files = new Map();
  const names = new Map();
  session.on("Network.responseReceived", ({ requestId, response }) => names.set(requestId, response.url));
  session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    files.set(names.get(requestId), encodedDataLength);
  });
  return files;
}
