"""The website, built by `make site`.

The root of the repository is the source folder: the notebooks, the gallery and the other texts stand on the site where
they stand in the repository, so that one link serves in both places.
"""

import re
from pathlib import Path

from docutils import nodes
from myst_nb.core.render import NbElementRenderer

import sedyn

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/sedyn/sedyn"

project, author, release = "sedyn", "The sedyn authors", sedyn.__version__
html_title = "sedyn: gradient descent, predicted"
copyright = author
root_doc = "docs/index"
# the assignments, their model answers and the guide for instructors stay in the repository
include_patterns = [
    "docs/*.md",
    "notebooks/*.ipynb",
    "notebooks/topics/*.ipynb",
    "figures/README.md",
    "benchmarks/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
]
exclude_patterns = ["**/.*", ".*", "build"]

# MathJax from a Python package: the site needs no network, neither to be built nor to be read.
extensions = ["myst_nb", "sphinx.ext.autodoc", "numpydoc", "sphinx_copybutton", "sphinx-mathjax-offline"]
nb_execution_mode = "off"  # the stored outputs are shown
nb_ipywidgets_js = {}
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]  # no dead widgets
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3

html_theme = "sphinx_book_theme"
html_theme_options = {
    "show_toc_level": 2,
    "repository_url": REPOSITORY,
    "repository_branch": "main",
    "launch_buttons": {
        "binderhub_url": "https://mybinder.org",
        "colab_url": "https://colab.research.google.com",
        "notebook_interface": "jupyterlab",
    },
    "article_footer_items": ["cite.html"],
    "home_page_in_toc": True,
    "navbar_persistent": [],
}
html_sourcelink_suffix = ""  # the download button gives the notebook
copybutton_exclude = ".linenos, .gp, .go"
html_static_path, html_css_files = ["_static"], ["site.css"]
templates_path = ["_templates"]
html_additional_pages = {"index": "forward.html"}  # the front page is docs/index.html

nitpicky = True
nitpick_ignore_regex = [("py:obj", r"[a-z_0-9]+|LowRankMemory")]  # parameters, fields, and one private class
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # the docstrings give shapes
numpydoc_show_class_members = False

CITATION = r"\btheory \d+(, \d+)*(?![\d.])"


def mark_up(app, what, name, obj, options, lines):
    """Docstrings are plain text first: let "theory 4, 6" lead to the theory page, and |mu| be a norm."""

    def links(match):
        return re.sub(r"(\d+)", r"`\1 <theory.html#theory-\1>`__", match[0])

    for i, line in enumerate(lines):
        if ">>>" not in line:
            parts = re.split(r"(``.*?``)", line)
            parts[::2] = [re.sub(CITATION, links, part).replace("|", r"\|") for part in parts[::2]]
            lines[i] = "".join(parts)


def find_public(app, env, node, contnode):
    """`Overlaps.of(..)` is `sedyn.Overlaps.of`, whichever module mentions it."""
    if node.get("reftype") == "obj":
        target = "sedyn." + node["reftarget"].split("(")[0]
        return env.get_domain("py").resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, contnode)


BADGES = {
    "https://colab.research.google.com/assets/colab-badge.svg": "/docs/_static/colab.svg",
    "https://mybinder.org/badge_logo.svg": "/docs/_static/binder.svg",
}


def for_the_site(app, docname, source):
    """The texts are those of the repository. Here badges are local, anchors are known to Sphinx, and a link to what is
    no page leads to the repository."""
    folder, pages = Path(app.env.doc2path(docname)).parent, app.project.docnames

    def address(match):
        target = (folder / match[1]).resolve()
        if not target.exists() or target.suffix in (".png", ".svg"):
            return match[0]
        name = target.relative_to(ROOT)
        if name.with_suffix("").as_posix() in pages:
            return match[0]
        return f"]({REPOSITORY}/{'tree' if target.is_dir() else 'blob'}/main/{name.as_posix()}{match[2]})"

    text = re.sub(r"\]\((?!\w+:|[#/])([^)#\s]+)(#[^)\s]*|)\)", address, source[0])
    for badge, local in BADGES.items():
        text = text.replace(badge, local)
    source[0] = re.sub(r'^<a id="([\w-]+)"></a>$', r"(\1)=", text, flags=re.M)


def render_image(self, data, render=NbElementRenderer.render_image):
    """The text of a stored figure: `Image(.., alt=..)` keeps it beside the picture."""
    shown = render(self, data)
    alt = data.output_metadata.get(data.mime_type, {}).get("alt")
    for node in shown:
        for image in node.findall(nodes.image) if alt else ():
            image["alt"] = alt
    return shown


def own_number(app, doctree):
    """A formula of several lines with a number of its own: Sphinx would put it where LaTeX allows none."""
    for formula in doctree.findall(nodes.math_block):
        text = formula.astext()
        if r"\tag" in text and r"\\" in text:
            formula.children = [nodes.Text(rf"\[{text}\]")]
            formula["no-wrap"] = formula["nowrap"] = True


def setup(app):
    NbElementRenderer.render_image = render_image
    app.connect("source-read", for_the_site)
    app.connect("doctree-read", own_number)
    app.connect("autodoc-process-docstring", mark_up)
    app.connect("missing-reference", find_public)
