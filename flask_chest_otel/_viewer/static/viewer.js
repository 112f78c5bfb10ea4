// Comfort only: every page says everything without it.
"use strict";

// Copy buttons.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  const words = button.textContent;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed";
  }
  setTimeout(() => { button.textContent = words; }, 1500);
});

// Dragging over a chart chooses a span of time.
for (const plot of document.querySelectorAll("[data-drag]")) {
  const starts = plot.dataset.starts.split(" ").map(Number);
  const groups = plot.querySelectorAll("svg g");
  let first = null;
  let last = null;
  const place = (event) => {
    const box = plot.querySelector("svg").getBoundingClientRect();
    const part = (event.clientX - box.left) / box.width;
    return Math.min(starts.length - 1, Math.max(0, Math.floor(part * starts.length)));
  };
  const mark = () => groups.forEach((group, at) => {
    group.classList.toggle("chosen", first !== null && at >= Math.min(first, last) && at <= Math.max(first, last));
  });
  plot.addEventListener("pointerdown", (event) => {
    first = last = place(event);
    plot.setPointerCapture(event.pointerId);
    mark();
    event.preventDefault();
  });
  plot.addEventListener("pointermove", (event) => {
    if (first === null) return;
    last = place(event);
    mark();
  });
  plot.addEventListener("pointerup", () => {
    if (first === null) return;
    const time = (at) => new Date(at * 1000).toISOString().slice(0, 19) + "Z";
    const address = new URL(plot.dataset.drag, location.href);
    address.searchParams.set("since", time(starts[Math.min(first, last)]));
    address.searchParams.set("until", time(starts[Math.max(first, last)] + Number(plot.dataset.step)));
    location.assign(address);
  });
  plot.addEventListener("pointercancel", () => { first = null; mark(); });
}

// New requests, as they come.
const live = document.getElementById("live");
if (live) {
  const rows = document.getElementById("rows");
  const most = 500;
  let source = null;
  live.hidden = false;
  const stop = () => { source.close(); source = null; };
  live.addEventListener("click", () => {
    if (source) {
      stop();
    } else {
      source = new EventSource(live.dataset.live);
      source.onmessage = (event) => {
        rows.insertAdjacentHTML("afterbegin", JSON.parse(event.data));
        rows.firstElementChild.classList.add("fresh");
        live.dataset.live = live.dataset.live.replace(/after=[0-9a-f]*/, "after=" + event.lastEventId);
        while (rows.children.length > most) rows.lastElementChild.remove();
      };
    }
    live.setAttribute("aria-pressed", String(Boolean(source)));
    live.textContent = source ? "Live: on" : "Live";
  });
}

// Keys: / goes to the filter, j and k from row to row, Enter follows the link of the row.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  if (event.key === "/") {
    const field = document.querySelector("[data-key='/']");
    if (field) { field.focus(); field.select(); event.preventDefault(); }
    return;
  }
  if (event.key !== "j" && event.key !== "k") return;
  const links = [...document.querySelectorAll("tbody td a:first-of-type")];
  if (!links.length) return;
  const now = links.indexOf(document.activeElement);
  const next = event.key === "j" ? Math.min(links.length - 1, now + 1) : Math.max(0, now - 1);
  links[next].focus();
  event.preventDefault();
});

// Times: relative beside the exact one, which stays in the title.
const ages = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
const tell = () => {
  for (const time of document.querySelectorAll("td time, .where time")) {
    const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
    const [size, unit] = ages.find(([one]) => seconds >= one) ?? [1, "s"];
    time.textContent = `${Math.max(0, Math.floor(seconds / size))} ${unit} ago`;
  }
};
tell();
setInterval(tell, 10000);
