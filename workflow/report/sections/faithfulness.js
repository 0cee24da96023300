// Faithfulness over edges of one task, for reading and choosing: a point sets the edges that the
// circuit explorer shows. From faithfulness.csv; the figure below has all measures and intervals.
(({ on, all, make, say, state, update, watch, header, whenSeen, number, values, node, fitting, csv,
  download, saveDrawing }) => {
  const { abs, log, max, min } = Math;
  const root = document.querySelector(".curves");
  const curves = header("curves-data");
  if (!root || !curves?.length) return;
  const WIDTH = 640, HEIGHT = 300, LEFT = 44, RIGHT = 12, TOP = 12, BOTTOM = 40;
  const LOW = -0.5, HIGH = 1.5; // the figure's limits
  const DASHES = ["", "7 3", "2 3", "8 3 2 3", "12 3", "4 2"];
  const NAMES = ["model", "dictionary", "task"];
  const here = () => fitting(curves, NAMES);
  const span = (point) => point[3] === null ? "" : ` [${number(point[3], 3)}, ${
    number(point[4], 3)}]`;
  const told = (curve, point) => `${curve.label}: ${point[1]} edges after pruning keep ${
    number(point[2], 3)}${span(point)}`;
  const choose = (curve, point) => {
    if (!values("partition").includes(curve.partition) || point[0] === null)
      return say(`${told(curve, point)}; not in the explorer`);
    const changes = { partition: curve.partition, e: point[0], t: 80 };
    if (state.task !== undefined || here()[0] !== curves[0]) changes.task = curve.task;
    update(changes, told(curve, point));
  };
  let shown = null;
  const draw = () => {
    const found = here(), most = max(2, ...found.flatMap((c) => c.points.map((p) => p[1])));
    shown = found;
    const x = (edges) => LEFT + (WIDTH - LEFT - RIGHT) * log(max(edges, 1))
      / log(most);
    const y = (f) => TOP + (HEIGHT - TOP - BOTTOM)
      * (HIGH - min(max(f, LOW), HIGH)) / (HIGH - LOW);
    const picture = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group",
      "aria-label": root.dataset.label });
    for (const f of [0, 0.5, 1]) picture.append(node("path", { class: f % 1 ? "grid" : "grid strong",
      d: `M${LEFT} ${y(f)}H${WIDTH - RIGHT}` }), node("text", { x: LEFT - 6, y: y(f) + 4,
      "text-anchor": "end" }, String(f)));
    for (let ten = 1; ten <= most; ten *= 10) picture.append(node("text", { x: x(ten),
      y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, String(ten)));
    picture.append(node("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 5, "text-anchor": "middle" },
      "edges in the circuit, after pruning"));
    const cross = node("path", { class: "grid" });
    picture.append(cross);
    const read = make("p", { className: "hint", text: found[0].competent
      ? root.dataset.hint : root.dataset.unable });
    found.forEach((curve, i) => {
      const points = curve.points.filter((point) => point[1] > 0);
      const style = `stroke:var(--${curve.colour})`;
      picture.append(node("path", { class: "curve", style, "stroke-dasharray": DASHES[i % 6],
        d: points.map((p, at) => `${at ? "L" : "M"}${x(p[1]).toFixed(1)} ${y(p[2]).toFixed(1)}`)
          .join("") }));
      for (const point of points) {
        const dot = node("circle", { cx: x(point[1]).toFixed(1), cy: y(point[2]).toFixed(1), r: 5,
          style: `${style};fill:var(--${curve.colour})`, role: "button", tabindex: -1,
          "aria-label": told(curve, point), "data-partition": curve.partition,
          "data-selected": point[0] });
        if (state.e === point[0] && state.partition === curve.partition)
          dot.classList.add("chosen");
        on(dot, "click", () => choose(curve, point));
        on(dot, "focus", () => { read.textContent = told(curve, point); });
        picture.append(dot);
      }
    });
    const dots = all("circle", picture);
    const first = dots.find((dot) => dot.matches(".chosen")) ?? dots[0];
    first?.setAttribute("tabindex", 0);
    on(picture, "keydown", (event) => {
      const at = dots.indexOf(document.activeElement);
      if (at < 0) return;
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        dots[at].dispatchEvent(new Event("click"));
        all("circle", root)[at]?.focus();
      }
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      dots[(at + step + dots.length) % dots.length].focus();
    });
    on(picture, "pointermove", (event) => {
      const box = picture.getBoundingClientRect();
      const px = (event.clientX - box.left) * WIDTH / box.width;
      const near = found.map((curve) => [curve, curve.points.reduce((best, point) =>
        abs(x(point[1]) - px) < abs(x(best[1]) - px) ? point : best)]);
      cross.setAttribute("d", `M${max(LEFT, min(px, WIDTH - RIGHT))} ${TOP}V${
        HEIGHT - BOTTOM}`);
      read.textContent = near.map(([curve, point]) => told(curve, point)).join("; ");
    });
    const legend = make("p", { className: "legend" }, ...found.map((curve, i) => {
      const line = node("svg", { viewBox: "0 0 30 8", width: 30, height: 8, "aria-hidden": true });
      line.append(node("path", { class: "curve", d: "M0 4H30", "stroke-dasharray": DASHES[i % 6],
        style: `stroke:var(--${curve.colour})` }));
      return make("span", {}, line, curve.label);
    }));
    const focused = all("circle", root).indexOf(document.activeElement);
    const name = ["curves", ...NAMES.map((facet) => found[0][facet])].join(".");
    const columns = ["partition", "selected", "edges", "faithfulness", "low", "high"];
    const tool = (text, call) => {
      const button = make("button", { text });
      on(button, "click", call);
      return button;
    };
    const tools = make("p", { className: "plot-tools" },
      tool("Download SVG", () => saveDrawing(`${name}.svg`, picture)),
      tool("Download CSV", () => download(`${name}.csv`, csv({ columns, rows: found.flatMap((curve) =>
        curve.points.map((point) => [curve.partition, ...point].map((field) =>
          String(field ?? "")))) }))));
    root.replaceChildren(picture, legend, read, tools);
    if (focused >= 0) dots[focused]?.focus();
  };
  connectome.evaluated = (circuit, kept) => {
    const point = curves.find((curve) => [...NAMES, "partition"]
      .every((name) => curve[name] === circuit[name]))?.points.find(([selected]) =>
      selected === kept);
    return point && ` Pruned, these are ${point[1]} edges and keep ${number(point[2], 3)}${
      span(point)} of the metric.`;
  };
  root.hidden = false;
  whenSeen(root, () => {
    draw();
    watch((changed) => {
      if (["e", "partition", ...NAMES].some((name) => changed.has(name))) draw();
    });
  });
})(connectome);
