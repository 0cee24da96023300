// The summary as Markdown, for notes and mails: the words of the page, nothing else.
(({ on, all, make, say, download }) => {
  const root = document.querySelector("#summary");
  const articles = all(".model", root);
  if (!articles.length) return;
  const words = (node) => (node?.textContent ?? "").replace(/\s+/g, " ").trim()
    .replace(/[\\`*_<>|]|\](?=\()/g, "\\$&");
  const claim = (item) => `- **${words(item.querySelector("h4"))}: ${
    words(item.querySelector(".badge"))}.** ${all(".claim", item).map(words).filter(Boolean)
    .join("; beside it: ")}`;
  const markdown = () => [`## lm-connectome: ${words(document.querySelector(".run"))}`,
    ...articles.flatMap((article) => [`### ${words(article.querySelector("h3"))}`,
      words(article.querySelector(".lead")),
      all(".headline > div", article).map((tile) =>
        `- ${words(tile.querySelector("dt"))}: ${words(tile.querySelector("dd"))}`).join("\n"),
      all(".verdicts > li:not(.head)", article).map(claim).join("\n"),
      words(article.querySelector(".failed"))])].join("\n\n") + "\n";
  const button = make("button", { text: "Copy as Markdown" });
  on(button, "click", () => {
    const text = markdown(), save = () => download("summary.md", text);
    if (!navigator.clipboard) return save();
    navigator.clipboard.writeText(text).then(() => {
      button.textContent = "Copied";
      say("summary copied");
    }, save);
  });
  root.append(make("p", { className: "plot-tools" }, button));
})(connectome);
