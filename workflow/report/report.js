"use strict";
// Enhances a page that is complete without it: picks figures, sorts and filters tables, keeps the
// selection in the address. Text of data is only ever set as text. Scripts of sections follow this
// one and use what it returns.
const connectome = (() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const on = (target, ...rest) => target.addEventListener(...rest);
  const make = (name, { text = "", ...properties } = {}, ...children) => {
    const node = document.createElement(name);
    node.textContent = text;
    for (const [key, value] of Object.entries(properties)) {
      if (key in node) node[key] = value;
      else node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  };
  const say = (text) => { document.querySelector(".live").textContent = text; };
  const hidden = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;
  const signs = { "\n": "\u23ce", "\t": "\u2192", "\r": "\u21b5" };
  const visible = (text) =>
    text.replace(hidden, (c) => signs[c] ?? `\\u{${c.codePointAt(0).toString(16)}}`);

  // One selection for all views: key -> value, kept in the address behind `#`. A key has `read`,
  // text -> value or undefined where the text means nothing here, and `initial`, which is left out.
  const FACETS = ["model", "dictionary", "task", "partition", "site", "kind"];
  const ORDER = ["v", ...FACETS, "f", "r", "p", "t", "e", "c", "q", "o", "l"];
  const LONGEST = 2000, PAUSE = 200; // characters of an address; ms between two writings
  const state = {}, keys = {}, watchers = [], pickers = [];
  const key = (name, { read, write = String, initial }) => {
    keys[name] = { read, write, initial };
    state[name] = initial;
  };
  const values = (facet) => pickers.flatMap((picker) => picker.values.get(facet) ?? []);
  for (const facet of FACETS)
    key(facet, { read: (text) => values(facet).includes(text) ? text : undefined });
  key("q", { initial: "", read: (text) => text.slice(0, 100) });
  key("v", { read: (text) =>
    all("main > section").some(({ id }) => id === text) ? text : undefined });

  const parse = (hash) => {
    const found = {};
    for (const part of hash.replace(/^#/, "").split("&")) {
      const at = part.indexOf("=");
      const [name, text] = at < 0 ? ["v", part] : [part.slice(0, at), part.slice(at + 1)];
      if (!Object.hasOwn(keys, name) || text.length > LONGEST) continue;
      try {
        const value = keys[name].read(decodeURIComponent(text));
        if (value !== undefined) found[name] = value;
      } catch { /* not percent-encoded: means nothing */ }
    }
    return found;
  };
  const format = () => {
    const write = (names) => "#" + names
      .filter((name) => keys[name] && state[name] !== undefined
        && keys[name].write(state[name]) !== String(keys[name].initial))
      .map((name) => `${name}=${encodeURIComponent(keys[name].write(state[name]))}`).join("&");
    const whole = write(ORDER);
    return whole.length <= LONGEST ? whole : write(ORDER.filter((name) => name !== "p"));
  };
  let written = -PAUSE, waiting = 0;
  const writeHash = () => {
    const write = () => {
      waiting = 0;
      written = performance.now();
      const hash = format();
      if (hash !== location.hash && hash + location.hash !== "#")
        history.replaceState(null, "", hash);
    };
    const left = written + PAUSE - performance.now();
    if (left <= 0 && !waiting) write();
    else waiting ||= setTimeout(write, Math.max(left, 0));
  };
  const notify = (changed) => {
    for (const watch of watchers) watch(changed);
  };
  // A part is known by its name and where it is from: elsewhere the name would mean another one.
  const HOME = ["model", "dictionary", "partition", "kind"];
  const update = (changes, note) => {
    const changed = new Set(Object.keys(changes).filter((name) => state[name] !== changes[name]));
    if (HOME.some((name) => changed.has(name) && state[name] !== undefined))
      for (const name of ["r", "p", "f"])
        if (!(name in changes)) {
          state[name] = keys[name]?.initial;
          changed.add(name);
        }
    Object.assign(state, changes);
    notify(changed);
    writeHash();
    if (note) say(note);
  };
  const readHash = () => {
    const found = parse(location.hash);
    const anchor = !location.hash.includes("=");
    for (const name of anchor ? ["v"] : Object.keys(keys))
      state[name] = found[name] ?? keys[name].initial;
    notify(new Set(anchor ? ["v"] : Object.keys(keys)));
    if (state.v && !anchor) document.getElementById(state.v).scrollIntoView();
    writeHash();
  };

  class Picker {
    constructor(root) {
      this.figures = all(":scope > figure", root);
      this.facets = root.dataset.facets.split(" ");
      this.values = new Map(this.facets.map((facet) =>
        [facet, [...new Set(this.figures.map((figure) => figure.dataset[facet]))]]));
      this.bar = make("div", { className: "pick", role: "group", ariaLabel: root.dataset.label });
      for (const facet of this.facets) this.addFacet(facet);
      if (this.bar.childElementCount) root.prepend(this.bar);
    }
    addFacet(facet) {
      const values = this.values.get(facet);
      if (values.length < 2) return;
      const row = make("div", { className: "facet", role: "radiogroup", ariaLabel: facet });
      row.append(make("span", { text: facet, ariaHidden: "true" }));
      for (const value of values) {
        const button = make("button", { role: "radio", text: visible(value) });
        button.dataset.facet = facet;
        button.dataset.value = value;
        on(button, "click", () =>
          update({ [facet]: value }, `${facet}: ${value}`));
        row.append(button);
      }
      on(row, "keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const buttons = all("button", row);
        const next = buttons[(buttons.indexOf(document.activeElement) + step + buttons.length)
          % buttons.length];
        next.focus();
        next.click();
      });
      this.bar.append(row);
    }
    show() {
      const score = (figure) =>
        this.facets.filter((f) => figure.dataset[f] === state[f]).length;
      const wanted = this.figures.reduce((best, figure) =>
        score(figure) > score(best) ? figure : best, this.figures[0]);
      for (const figure of this.figures) {
        figure.hidden = figure !== wanted;
        putAway(figure, figure.hidden && !printing.matches);
      }
      this.shown = wanted;
      for (const button of all("button", this.bar)) {
        const on = wanted?.dataset[button.dataset.facet] === button.dataset.value;
        button.ariaChecked = on;
        button.tabIndex = on ? 0 : -1;
      }
    }
  }
  const showAll = () => {
    for (const picker of pickers) picker.show();
    showCards();
  };
  watchers.push((changed) => { if (FACETS.some((facet) => changed.has(facet))) showAll(); });

  // Cards of a site, and the content of a card, lie in a template until they are looked at:
  // what is folded away weighs nothing, and keeps its state.
  const AT_ONCE = { ".card": 4, ".folded": 1 };
  const fold = (holder, wanted) => {
    const template = holder.querySelector(":scope > template");
    if (!template) return;
    if (wanted) {
      holder.append(template.content);
      enhanceTables(holder);
      watchTables(holder);
    } else while (template.nextSibling) template.content.append(template.nextSibling);
  };
  // So does what a picker does not show; paper shows all.
  const printing = matchMedia("print");
  const putAway = (figure, away) => {
    if (away && !figure.querySelector(":scope > template")) figure.prepend(make("template"));
    fold(figure, !away);
  };
  on(printing, "change", () => showAll());
  let opened = []; // those in view, the longest open first
  const showCards = () => {
    for (const deck of all(".deck")) fold(deck, !deck.closest("[hidden]"));
    const open = all(".card[open], .folded[open]").filter((card) => !card.closest("[hidden]"));
    opened = [...opened.filter((card) => open.includes(card)),
      ...open.filter((card) => !opened.includes(card))];
    for (const [kind, most] of Object.entries(AT_ONCE))
      for (const card of opened.filter((one) => one.matches(kind)).slice(0, -most))
        card.open = false;
    for (const card of all(".card, .folded")) fold(card, card.open);
  };
  on(document, "toggle", ({ target }) => {
    if (target.matches(".card, .folded")) showCards();
  }, true);

  // Sorting: numbers by value, words by letters; fields that are not defined come last.
  const compare = (a, b, down) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const x = Number(a), y = Number(b);
    const order = Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en") : x - y;
    return down ? -order : order;
  };
  const sortable = (head, onSort) => {
    all("th", head).forEach((cell, index) => {
      const button = make("button", { text: cell.textContent });
      cell.replaceChildren(button);
      on(button, "click", () => {
        const down = cell.getAttribute("aria-sort") === "ascending";
        for (const other of all("th", head)) other.removeAttribute("aria-sort");
        cell.ariaSort = down ? "descending" : "ascending";
        onSort(index, down);
      });
    });
  };
  const enhance = (table) => {
    const body = table.tBodies[0];
    const key = (row, index) =>
      row.cells[index].querySelector("data")?.value
      ?? (row.cells[index].querySelector(".undefined") ? "" : row.cells[index].textContent);
    sortable(table.tHead, (index, down) => {
      bring(table.parentElement);
      body.append(...[...body.rows].sort((a, b) => compare(key(a, index), key(b, index), down)));
    });
  };

  const enhanceTables = (root) =>
    all("table[data-table]", root).filter((table) => !table.tHead.querySelector("button"))
      .forEach(enhance);

  // The whole tables of the appendix.
  const CHUNK = 50;
  let data = null;
  const tables = () =>
    (data ??= JSON.parse(document.getElementById("tables-data").textContent));
  const unpack = async (text) => { // a table packed by marks.packed
    const stream = new Blob([bytesOf(text)]).stream();
    return new Response(stream.pipeThrough(new DecompressionStream("deflate"))).json();
  };
  const whole = (parts) => {
    const count = Math.max(0, ...parts.map((part) => (part.at ?? part.words).length));
    const rows = Array.from({ length: count }, (_, row) =>
      parts.map((part) => part.words[part.at ? part.at[row] : row]));
    return { columns: parts.map((part) => part.name), rows };
  };
  const csv = ({ columns, rows }) => [columns, ...rows]
    .map((row) => row.map((field) =>
      /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field).join(","))
    .join("\n") + "\n";
  const download = (name, text) => {
    const link = make("a", { href: URL.createObjectURL(new Blob([text])), download: name });
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const savePicture = (name, ...layers) => {
    const { width, height } = layers.at(-1), sheet = make("canvas", { width, height });
    const context = sheet.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.fillStyle = colour("paper");
    context.fillRect(0, 0, width, height);
    for (const layer of layers) context.drawImage(layer, 0, 0, width, height);
    sheet.toBlob((blob) => download(name, blob));
  };
  // A drawing of the page alone: what its style sheet says of strokes and letters goes along.
  const PAINT = ["fill", "stroke", "stroke-width", "stroke-dasharray", "font-size"];
  const saveDrawing = (name, picture) => {
    const copy = picture.cloneNode(true), copies = all("*", copy);
    all("*", picture).forEach((part, i) => {
      const style = getComputedStyle(part);
      copies[i].removeAttribute("style");
      for (const property of PAINT)
        copies[i].setAttribute(property, style.getPropertyValue(property));
    });
    copy.setAttribute("font-family", "sans-serif");
    download(name, new XMLSerializer().serializeToString(copy));
  };
  const views = new Map();
  const opening = new Map();
  const open = (details) => {
    const name = details.dataset.table;
    if (!tables()[name] || views.has(name)) return views.get(name)?.();
    if (!opening.has(name)) opening.set(name, build(details, name));
    return opening.get(name);
  };
  const build = async (details, name) => {
    let source;
    try {
      source = whole(await unpack(tables()[name]));
    } catch {
      details.append(make("p", { className: "notice",
        text: `This browser cannot unpack the whole table; it is tables/${name} beside the page.` }));
      return;
    }
    const view = { order: null, down: false, words: "", shown: CHUNK };
    const body = make("tbody");
    const head = make("thead", {}, make("tr", {},
      ...source.columns.map((column) => make("th", { text: column, scope: "col" }))));
    const count = make("span");
    const filter = make("input",
      { type: "search", placeholder: "filter rows", ariaLabel: `Filter ${name}` });
    const more = make("button", { text: "Show more rows" });
    const save = make("button", { text: "Download CSV" });
    const draw = () => {
      let rows = source.rows.filter((row) =>
        view.words.split(/\s+/).every((word) =>
          row.some((field) => field.toLowerCase().includes(word))));
      if (view.order !== null)
        rows = [...rows].sort((a, b) => compare(a[view.order], b[view.order], view.down));
      body.replaceChildren(...rows.slice(0, view.shown).map((row) => make("tr", {},
        ...row.map((field) => make("td", { text: visible(field.slice(0, 400)) })))));
      more.hidden = rows.length <= view.shown;
      count.textContent = `${Math.min(view.shown, rows.length)} of ${rows.length} rows`;
      say(count.textContent);
    };
    sortable(head, (index, down) => { view.order = index; view.down = down; draw(); });
    on(filter, "input", () => {
      view.words = filter.value.trim().toLowerCase();
      view.shown = CHUNK;
      draw();
    });
    on(more, "click", () => { view.shown += 4 * CHUNK; draw(); });
    on(save, "click", () => download(name, csv(source)));
    const frame = make("div", { className: "table", tabIndex: 0, role: "group", ariaLabel: name },
      make("table", {}, head, body));
    details.querySelector("pre").replaceWith(
      make("div", { className: "search" }, filter, count, save), frame, more);
    views.set(name, (closed) => closed ? body.replaceChildren() : draw());
    if (details.open) draw(); // it may have been closed meanwhile
  };

  // Rows of tables stand in the page only near the screen, and on paper.
  const away = new Map();
  const bring = (box) => {
    away.get(box)?.();
    away.delete(box);
  };
  const nearby = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting || printing.matches) {
        bring(target);
        continue;
      }
      const body = target.querySelector("tbody");
      if (away.has(target) || !target.isConnected || target.contains(document.activeElement)
        || body.rows.length < 4) continue;
      target.style.minHeight = `${target.getBoundingClientRect().height}px`; // to the fraction: no shift
      const rows = [...body.rows];
      body.replaceChildren();
      away.set(target, () => {
        body.append(...rows);
        target.style.minHeight = "";
      });
    }
  }, { rootMargin: "700px" });
  const watchTables = (root) => {
    for (const table of all(".table > table[data-table]", root)) nearby.observe(table.parentElement);
  };
  on(printing, "change", () => { if (printing.matches) [...away.keys()].forEach(bring); });

  for (const root of all(".picker")) pickers.push(new Picker(root));
  enhanceTables(document.querySelector("main"));
  watchTables(document.querySelector("main"));
  for (const details of all("details.source-table"))
    on(details, "toggle", () => {
      if (details.open) open(details);
      else views.get(details.dataset.table)?.(true); // closed tables weigh nothing
    });
  for (const figure of all("figure.plot")) {
    const image = figure.querySelector("img");
    if (image) figure.querySelector(".sheet").after(make("p", { className: "plot-tools" },
      make("a", { className: "button", href: image.src, download: `${figure.id}.svg`,
        text: "Download SVG" })));
  }
  document.querySelector(".keys").hidden = false;
  const help = document.querySelector(".help");
  on(document.querySelector(".keys button"), "click", () => help.showModal());
  on(help, "click", ({ target }) => { if (target.matches("dialog, button")) help.close(); });
  addEventListener("keydown", async (event) => {
    if (event.target.matches("input, select, textarea") || help.open) return;
    if (event.key === "?") return void help.showModal();
    if (event.key !== "/") return;
    event.preventDefault();
    const details = document.querySelector("details.source-table[open]")
      ?? document.querySelector("details.source-table");
    details.open = true;
    await open(details);
    details.querySelector("input")?.focus();
  });

  // Where a number is from, said by its title once somebody points at it.
  on(document, "pointerover", ({ target }) => {
    const [table, row, column] = target.dataset?.at?.split(" ") ?? [];
    if (column) target.title ||= `${table}.csv, row ${+row + 1}, ${column}: ${target.value}`;
  });

  // The section in view is marked in the navigation.
  const links = new Map(all("nav a").map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) {
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  all("main > section").forEach((section) => seen.observe(section));

  // Numbers of a block, by column; header of a section.
  const TYPES = { u8: Uint8Array, u16: Uint16Array, f32: Float32Array };
  const bytesOf = (text) => {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    return bytes;
  };
  const decode = (id) => {
    const node = document.getElementById(id);
    const bytes = bytesOf(node.textContent);
    let at = 0;
    return Object.fromEntries(node.dataset.columns.split(" ").map((column) => {
      const [name, type, count] = column.split(":");
      const values = new TYPES[type](bytes.buffer, at, Number(count));
      at += values.byteLength;
      return [name, values];
    }));
  };
  const header = (id) => {
    const node = document.getElementById(id);
    return node && JSON.parse(node.textContent);
  };
  // Fills a place with the template in it; its parts by their data-ui.
  const mount = (root) => {
    root.append(root.querySelector("template").content);
    return Object.fromEntries(all("[data-ui]", root).map((part) => [part.dataset.ui, part]));
  };
  const node = (name, attributes, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [attribute, value] of Object.entries(attributes))
      made.setAttribute(attribute, value);
    made.textContent = text;
    return made;
  };
  // Those that fit the selection, facet by facet; where a facet fits none, those like the first.
  const fitting = (list, facets) => facets.reduce((left, facet) => {
    const match = left.filter((one) => one[facet] === state[facet]);
    return match.length ? match : left.filter((one) => one[facet] === left[0][facet]);
  }, list);
  // Calls when somebody is about to see the element, once.
  const whenSeen = (node, build) => {
    const near = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      near.disconnect();
      build();
    }, { rootMargin: "300px" });
    near.observe(node);
  };
  const number = (value, digits = 4) => Number.isFinite(value)
    ? String(Number(value.toPrecision(digits))).replace("-", "\u2212") : "not defined";
  const percent = (value) => `${(100 * value).toFixed(1)}\u00a0%`;
  const colour = (name) => getComputedStyle(document.documentElement)
    .getPropertyValue(`--${name}`).trim();

  queueMicrotask(() => { // after the scripts of the sections
    for (const picker of pickers) picker.show();
    showCards();
    readHash();
    addEventListener("hashchange", readHash);
  });
  return { on, all, make, say, visible, state, key, update, watch: (call) => watchers.push(call),
    values, parse, format, decode, header, whenSeen, number, percent, colour, csv, download,
    savePicture, saveDrawing, mount, node, fitting };
})();
