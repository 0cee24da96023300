// Cards follow the selection of a region or a feature, and set it; the search text leaves those
// whose heading has it.
(({ on, all, make, state, update, watch, key, values }) => {
  key("f", { read: (text) => {
    const [, site, index] = /^([\w.]+):(\d{1,6})$/.exec(text) ?? [];
    return values("site").includes(site) && (connectome.features?.(site) ?? 0) > +index
      ? text : undefined;
  } });
  const searches = all(".picker:has(.deck)").map((picker) => {
    const field = make("input", { type: "search", placeholder: "name, token or task",
      ariaLabel: "Find cards" });
    const count = make("span", { className: "hint" });
    on(field, "input", () => update({ q: field.value }));
    const line = make("p", { className: "search" }, field, count);
    const bar = picker.querySelector(".pick");
    if (bar) bar.after(line);
    else picker.prepend(line);
    return { picker, field, count };
  });
  const find = () => {
    const words = state.q.toLowerCase();
    for (const { picker, field, count } of searches) {
      if (field.value !== state.q) field.value = state.q;
      const cards = all(":scope > figure:not([hidden]) .card", picker);
      for (const card of cards)
        card.hidden = !card.querySelector("summary").textContent.toLowerCase().includes(words);
      const left = cards.filter((card) => !card.hidden).length;
      count.textContent = words && `${left} of ${cards.length} cards of this site`;
    }
  };
  const show = (changed) => {
    if (["q", "site", "model", "dictionary"].some((name) => changed.has(name))) find();
    if (!["r", "f", "site", "kind"].some((name) => changed.has(name))) return;
    for (const card of all(".card[data-part], .card[data-feature]")) {
      const chosen = card.dataset.part ? card.dataset.part === state.r
        && (state.kind === undefined || state.kind === card.dataset.of)
        : card.dataset.feature === state.f;
      if (chosen && !card.matches(".chosen")) card.open = true;
      card.classList.toggle("chosen", chosen);
    }
  };
  on(document, "click", (event) => {
    const card = event.target.closest?.(".card > summary")?.parentElement;
    if (!card || card.open) return;
    const { site } = card.closest("figure").dataset;
    const name = card.dataset.part ?? card.dataset.feature;
    if (!name) return;
    event.preventDefault(); // opened here: what is selected opens, and would be closed again
    card.open = true;
    const place = values("site").includes(site) ? { site } : {};
    if (card.dataset.part) update({ r: name, ...place, kind: card.dataset.of }, `${name} selected`);
    else update({ f: name, ...place }, `${name} selected`);
  });
  watch(show);
})(connectome);
