"""What Grafana is given: boards and alert rules, written from the tables of this project."""
