"""The whole stack on one machine: real servers as child processes, their state in one folder."""
