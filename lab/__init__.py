"""A terminal laboratory for one question: what does each piece of a language model buy?"""

__version__ = "0.1.0"
