"""Sphinx configuration. Nothing is downloaded, and the built pages load nothing from other hosts.

sphinx-build -W --keep-going -b html docs docs/_build
sphinx-build -W -t gallery -b html docs docs/_build    runs the examples of the gallery, too (two to three minutes)
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from keras_ser import __version__  # noqa: E402

project, author, release = "keras_ser", "the keras_ser authors", __version__
copyright = "the keras_ser authors, Apache-2.0"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    # pages generated from the code
    "generated",
]
exclude_patterns = [
    "_build",
    "code",
    "examples",
    "auto_examples/*.ipynb",
    "auto_examples/*.py",
    "**/sg_execution_times.rst",
]
templates_path = ["_templates"]
html_theme = "furo"
html_title = f"keras_ser {release}"
html_static_path: list[str] = []
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "signature"
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
# several classes have a property and a constructor argument of one name
napoleon_use_ivar = True
suppress_warnings = ["config.cache"]
copybutton_exclude = ".linenos, .gp, .go"
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    "ignore_pattern": r"demo_run\.py",
    # `tags` is Sphinx's, in every conf.py
    "plot_gallery": tags.has("gallery"),  # noqa: F821
    "download_all_examples": False,
    "show_signature": False,
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("gallery.figure_scraper",),
    "reset_modules": (),
    "min_reported_time": 10_000,
    # that page loads a script from another host
    "write_computation_times": False,
}
