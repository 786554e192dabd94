"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const texts = JSON.parse(document.getElementById("trial-texts").textContent);
  for (const trace of Object.values(figures).flatMap((figure) => figure.data)) {
    if (trace.text === "trial") trace.text = trace.customdata.map((number) => texts[number]);
  }
  const pictures = [...document.querySelectorAll(".picture")];
  const coarse = matchMedia("(pointer: coarse)").matches;

  // A colour is the name of a CSS variable, so figures follow light and dark mode.
  const painted = (value, css) => {
    if (typeof value === "string") {
      return value.startsWith("--") ? css.getPropertyValue(value).trim() : value;
    }
    if (Array.isArray(value)) return value.map((item) => painted(item, css));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, painted(item, css)]));
  };

  const axis = { gridcolor: "--grid", linecolor: "--rung", zeroline: false, automargin: true };
  const common = {
    margin: { l: 56, r: 12, t: 8, b: 44, pad: 0 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12, color: "--ink" },
    hoverlabel: { bgcolor: "--panel", bordercolor: "--rule", font: { color: "--ink" },
      align: "left" },
    hovermode: "closest",
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 11 } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: "--muted", activecolor: "--accent" },
    // Dragging a finger over a figure scrolls the page.
    dragmode: coarse ? false : "zoom",
  };
  const config = {
    displaylogo: false, responsive: true, displayModeBar: coarse ? false : "hover",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };

  const drawn = new Set();
  const draw = (picture) => {
    const figure = figures[picture.id];
    const { xaxis, yaxis, ...rest } = figure.layout;
    const layout = { ...common, ...rest,
      xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis } };
    if (picture.clientWidth < 560) {  // two columns, where plotly.js would take one
      layout.legend = { ...layout.legend, font: { size: 10 }, itemwidth: 30,
        entrywidth: 0.48, entrywidthmode: "fraction" };
    }
    const css = getComputedStyle(document.documentElement);
    Plotly.react(picture, painted(figure.data, css), painted(layout, css), config);
    if (!drawn.has(picture)) {
      drawn.add(picture);
      picture.on("plotly_click", (event) => show(event.points[0].customdata));
    }
    if (shownTrials) fade(picture);
  };

  // A point or bar fades if the table hides its trial: at once in visible figures, in the others
  // when they scroll into view.
  let shownTrials = null;
  const inSight = new Set();
  const stale = new Set();
  const fade = (picture) => {
    stale.delete(picture);
    const traces = figures[picture.id].data.flatMap((trace, index) =>
      trace.customdata && (trace.type === "bar" || trace.mode === "markers") ? [index] : []);
    if (!traces.length) return;
    const selected = traces.map((index) => shownTrials && figures[picture.id].data[index]
      .customdata.flatMap((number, place) => (shownTrials.has(number) ? [place] : [])));
    Plotly.restyle(picture,
      { selectedpoints: selected, "unselected.marker.opacity": 0.08 }, traces);
  };

  // Figures are drawn when they are about to be seen, so a phone shows the page at once.
  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) {
        inSight.delete(target);
        continue;
      }
      inSight.add(target);
      if (!drawn.has(target)) draw(target);
      else if (stale.has(target)) fade(target);
    }
  }, { rootMargin: "800px" });
  pictures.forEach((picture) => watcher.observe(picture));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change",
    () => drawn.forEach(draw));
  // Print in light mode, with all figures drawn.
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("light");
    document.querySelectorAll("details").forEach((part) => { part.open = true; });
    pictures.forEach(draw);
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("light");
    drawn.forEach(draw);
  });

  const table = document.getElementById("table");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const columns = heads.map((head) => head.dataset.column);
  const text = (row, column) => row.cells[column].textContent;
  const isNumber = columns.map((_, column) => rows.every((row) => !isNaN(text(row, column))));

  // Empty cells come last in either order.
  const sort = (column, descending) => {
    const sign = descending ? -1 : 1;
    const order = new Map(rows.map((row) => [row, text(row, column)]));
    rows.sort((one, other) => {
      const [a, b] = [order.get(one), order.get(other)];
      if (a === "" || b === "") return (a === "") - (b === "");
      return sign * (isNumber[column] ? a - b : a.localeCompare(b, "en"));
    });
    body.append(...rows);
    heads.forEach((head, at) => {
      if (at === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  };
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click",
    () => sort(column, head.getAttribute("aria-sort") === "ascending")));

  const compare = {
    "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b,
    "=": (a, b) => a === b,
  };
  const condition = (word) => {
    const [, name, sign, wanted] = word.match(/^(\w+)(<=|>=|<|>|=)(.+)$/) ?? [];
    const column = columns.indexOf(name);
    if (column < 0) {
      return (row) => row.textContent.toLowerCase().includes(word.toLowerCase());
    }
    const value = isNumber[column] ? Number(wanted) : wanted.toLowerCase();
    return (row) => {
      const cell = text(row, column);
      return cell !== "" &&
        compare[sign](isNumber[column] ? Number(cell) : cell.toLowerCase(), value);
    };
  };

  // Rows that the filter hides do not count.
  const mostPrinted = 40;
  addEventListener("beforeprint", () => {
    const shown = rows.filter((row) => !row.hidden);
    shown.forEach((row, place) => row.classList.toggle("unprinted", place >= mostPrinted));
    document.querySelector(".printed").hidden = shown.length <= mostPrinted;
  });

  const filter = document.getElementById("filter");
  const output = document.getElementById("shown");
  const apply = () => {
    const conditions = filter.value.split(/\s+/).filter(Boolean).map(condition);
    const shown = rows.filter((row) => conditions.every((holds) => holds(row)));
    const set = new Set(shown);
    rows.forEach((row) => { row.hidden = !set.has(row); });
    output.value = `${shown.length} of ${rows.length} trials`;
    shownTrials = shown.length === rows.length ? null
      : new Set(shown.map((row) => Number(text(row, 0))));
    drawn.forEach((picture) => (inSight.has(picture) ? fade(picture) : stale.add(picture)));
  };
  let waiting = 0;
  filter.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(apply, 120);
  });
  filter.form.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
  if (filter.value) apply();

  // Show a trial that was clicked in a figure.
  const show = (number) => {
    const row = document.getElementById(`trial-${number}`);
    if (!row) return;
    if (row.hidden) { filter.value = ""; apply(); }
    body.querySelectorAll(".found").forEach((found) => found.classList.remove("found"));
    row.classList.add("found");
    row.scrollIntoView({ block: "center" });
  };
})();
