// The excerpts below a result are of its article, not of the buttons above it, and around the word: "memori" is the stem.
const wholePage = Search.htmlToText;
Search.htmlToText = (html, anchor) => {
  const page = new DOMParser().parseFromString(html, "text/html");
  const article = page.querySelector("article.bd-article");
  if (!article) return wholePage(html, anchor);
  article.setAttribute("role", "main");
  return wholePage(article.outerHTML, anchor).replace(/\\[()[\]]/g, "").replace(/\s+/g, " ");
};
const aroundStem = Search.makeSearchSummary;
Search.makeSearchSummary = (html, words, anchor) =>
  aroundStem(html, new Set([...words].map((word) => word.replace(/i$/, ""))), anchor);
