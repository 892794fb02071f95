"""A small upstream archive: products of a folder as STAC Items in the dialects of three providers.

products      what lies in the folders, and which files a provider serves of it
describe      what is known of a product, from its metadata or from its name
items         the Items, in each dialect
faults        what goes wrong on purpose, set while it runs
catalog       all of it at this moment, searched
application   the addresses
"""
