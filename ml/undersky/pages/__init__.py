"""Pages for people to look at: values in, one HTML text out that needs nothing from elsewhere."""

from undersky.pages.items import product_of_item
from undersky.pages.run import FULL, in_full, run_page
from undersky.pages.values import Figure, Found, Heading, Link, PageProduct, PageScene

__all__ = [
    "FULL",
    "Figure",
    "Found",
    "Heading",
    "Link",
    "PageProduct",
    "PageScene",
    "in_full",
    "product_of_item",
    "run_page",
]
