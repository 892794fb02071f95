"""A product becomes a small table of facts, and suites of expectations judge the table.

    Scene or finished folder --facts--> one row for the scene, one a band --suite--> Verdict, Data Docs

Great Expectations takes seconds to import: whoever imports `judge` is a stage process, never a DAG.
"""
