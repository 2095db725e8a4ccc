// What the server writes while one looks on: server-sent events in the answer to a POST.

const token = () => document.querySelector("[name=csrfmiddlewaretoken]").value;

/** Post to `url` and yield [name, value] of each event in the answer; throw if it is refused. */
export async function* events(url) {
  const headers = { Accept: "text/event-stream", "X-CSRFToken": token() };
  const response = await fetch(url, { method: "POST", headers });
  if (!response.ok) throw new Error(response.status);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const found = block.match(/^event: (\w+)\ndata: (.*)$/);
      if (found) yield [found[1], JSON.parse(found[2])];
    }
  }
}
