// Shows transcripts as text (never as markup) by arm, moment, question and verdict.
"use strict";
(async () => {
  const form = document.getElementById("filter"), cards = document.getElementById("cards");
  const shown = document.getElementById("shown"), more = document.getElementById("more");
  if (!window.DecompressionStream) {
    shown.textContent = "The transcripts are packed with gzip, which this reader cannot unpack: a browser of 2023 or later can.";
    return;
  }
  const bytes = Uint8Array.from(atob(document.getElementById("transcripts-data").textContent), (letter) => letter.charCodeAt(0));
  const data = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  const said = Object.fromEntries(data.filters.map(({ name, options }) => [name, Object.fromEntries(options)]));
  const PAGE = 12;
  let limit = PAGE;

  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const chosen = () => data.rows.filter((row) => data.filters.every(({ name }) => !form[name].value || row[name] === form[name].value));

  // A choice that no transcript has beside the other choices cannot be taken.
  const offer = () => {
    for (const { name } of data.filters) {
      const others = data.filters.filter((other) => other.name !== name);
      const left = new Set(data.rows.filter((row) => others.every((o) => !form[o.name].value || row[o.name] === form[o.name].value)).map((row) => row[name]));
      for (const option of form[name].options) option.disabled = Boolean(option.value) && !left.has(option.value);
    }
  };

  const card = (row) => {
    const made = element("article", `card ${data.tints[row.verdict] ?? ""}`), head = element("header");
    const means = row.hacks.length ? ` (${row.hacks.join(", ")})` : "";
    const where = `${said.eval[row.eval]}, ${row.arm}, ${said.moment[row.moment]} (step ${row.step}), seed ${row.seed}`;
    for (const { name } of data.filters) made.dataset[name] = row[name];
    head.append(element("h3", "", `${said.verdict[row.verdict]}${row.reading ? `, ${row.reading}` : ""}`));
    head.append(`${means} — ${where}; ${row.alike} of ${row.asked} like this`);
    made.append(head);
    for (const turn of data.prompts[row.prompt]) made.append(element("p", "said", turn.role), element("pre", "", turn.content));
    if (row.thought) made.append(element("p", "said", "thought"), element("pre", "thought", row.thought));
    made.append(element("p", "said", "answer"), element("pre", "answer", row.answer || "(nothing)"));
    return made;
  };

  const show = () => {
    const rows = chosen();
    cards.replaceChildren(...rows.slice(0, limit).map(card));
    const count = Math.min(limit, rows.length);
    shown.textContent = data.rows.length ? `${count} of ${rows.length} chosen transcripts (${data.rows.length} in all).` : "These results ship without transcripts.";
    more.hidden = rows.length <= limit;
    offer();
  };

  const again = () => { limit = PAGE; show(); };

  for (const { name, all, options } of data.filters) {
    form[name].append(new Option(all, ""), ...options.map(([value, label]) => new Option(label, value)));
    form[name].addEventListener("change", again);
  }
  form.addEventListener("reset", () => setTimeout(again));
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => { limit += PAGE; show(); });
  for (const link of document.querySelectorAll("a[data-arm]")) {
    link.addEventListener("click", () => {
      form.reset();
      form.arm.value = link.dataset.arm;
      limit = PAGE;
      setTimeout(again);
    });
  }
  if (data.start) form.arm.value = data.start;
  show();
})();
