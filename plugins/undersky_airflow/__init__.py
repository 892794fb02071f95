"""Undersky as Airflow sees it: operators, runners, steps. No rule of the field lives here."""
