// How the tests of the console come to a page of it.

/** Opens a place of the console and waits until it is live. */
export async function open(page, stub, place = "") {
  await page.goto(`${stub.url}#/${place}`);
  await page
    .getByText("Live", { exact: true })
    .or(page.getByText("실시간", { exact: true }))
    .waitFor();
}
