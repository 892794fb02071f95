-- One database for each who needs one; `undersky` is made by the image.
CREATE DATABASE airflow;
CREATE DATABASE mlflow;
