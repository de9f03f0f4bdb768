-- Filled by the recorder of revision 90dd896 (tables 0003), as MariaDB.
CREATE TABLE `actuations` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `verdict_id` varchar(128) NOT NULL,
  `board_id` varchar(128) NOT NULL,
  `category` varchar(128) NOT NULL,
  `pin` int(11) DEFAULT NULL,
  `outcome` varchar(16) NOT NULL,
  `fired_at` datetime(3) DEFAULT NULL,
  `duration_ms` int(11) DEFAULT NULL,
  `latency_ms` double DEFAULT NULL,
  `received_at` datetime(3) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_actuations_verdict_id_outcome` (`verdict_id`,`outcome`),
  KEY `ix_actuations_received_at` (`received_at`)
) ENGINE=InnoDB AUTO_INCREMENT=10 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `actuations` VALUES (1,'032b8b3e-75f2-5dce-b642-86f4695c44cc','BOARD-000','normal',NULL,'no_gate',NULL,NULL,NULL,'2026-10-24 21:59:59.193');
INSERT INTO `actuations` VALUES (2,'4f7b4be1-c070-5c43-9436-1432ee61e942','BOARD-001','solder',27,'fired','2026-10-24 22:00:00.173',500,1.5,'2026-10-24 22:00:00.193');
INSERT INTO `actuations` VALUES (3,'4f7b4be1-c070-5c43-9436-1432ee61e942','BOARD-001','solder',27,'duplicate',NULL,NULL,NULL,'2026-10-24 22:00:00.213');
INSERT INTO `actuations` VALUES (4,'de95204a-05f6-5190-a956-02523a5cefad','BOARD-002','component',27,'fired','2026-10-25 00:30:00.173',500,1.5,'2026-10-25 00:30:00.193');
INSERT INTO `actuations` VALUES (5,'3b9a7dee-f7bb-58d7-8510-862b6f6b0d7d','BOARD-003','scrap',27,'fired','2026-10-25 01:30:00.173',500,1.5,'2026-10-25 01:30:00.193');
INSERT INTO `actuations` VALUES (6,'072219c4-eb3f-5e39-bd36-1ca8e58c8aa4','BOARD-004','unjudged',NULL,'unjudged',NULL,NULL,NULL,'2026-10-25 22:59:59.193');
INSERT INTO `actuations` VALUES (7,'cb685a56-0706-5c33-a6ae-c3e3e66df499','Bärd \"5\" \\ 기판','normal',NULL,'no_gate',NULL,NULL,NULL,'2026-10-25 23:00:00.193');
INSERT INTO `actuations` VALUES (8,'402b92b7-6250-5998-8fc5-972cdefb2099','BOARD-006','solder',27,'fired','2026-11-21 08:00:00.173',500,1.5,'2026-11-21 08:00:00.193');
INSERT INTO `actuations` VALUES (9,'9f84e14e-8616-5189-8093-670e59db8e89','BOARD-007','component',27,'fired','2026-11-21 08:59:59.173',500,1.5,'2026-11-21 08:59:59.193');
CREATE TABLE `alembic_version` (
  `version_num` varchar(32) NOT NULL,
  PRIMARY KEY (`version_num`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `alembic_version` VALUES ('0003');
CREATE TABLE `alerts` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `kind` varchar(64) NOT NULL,
  `subject` varchar(128) NOT NULL,
  `level` varchar(16) NOT NULL,
  `message` text NOT NULL,
  `details` longtext NOT NULL CHECK (json_valid(`details`)),
  `raised_at` datetime(3) NOT NULL,
  `resolved_at` datetime(3) DEFAULT NULL,
  `user_id` bigint(20) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `fk_alerts_user_id` (`user_id`),
  KEY `ix_alerts_kind_subject` (`kind`,`subject`),
  KEY `ix_alerts_raised_at` (`raised_at`),
  KEY `ix_alerts_resolved_at` (`resolved_at`),
  CONSTRAINT `fk_alerts_user_id` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE SET NULL
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `alerts` VALUES (1,'missing_verdict','OVERDUE','error','board OVERDUE has no verdict','{\"board_id\": \"OVERDUE\"}','2026-11-30 13:19:34.365',NULL,NULL);
INSERT INTO `alerts` VALUES (2,'disk','images','error','10 MB are free','{\"free_mb\": 10}','2026-11-30 13:19:34.365','2026-11-30 13:19:34.373',NULL);
CREATE TABLE `board_statistics` (
  `period` varchar(8) NOT NULL,
  `begins_at` datetime(3) NOT NULL,
  `category` varchar(16) NOT NULL,
  `boards` int(11) NOT NULL,
  `incomplete` int(11) NOT NULL,
  `latency_ms_sum` double NOT NULL,
  `latency_ms_max` double NOT NULL,
  PRIMARY KEY (`period`,`begins_at`,`category`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `board_statistics` VALUES ('day','2026-10-23 22:00:00.000','normal',1,0,41.25,41.25);
INSERT INTO `board_statistics` VALUES ('day','2026-10-24 22:00:00.000','component',1,0,41.25,41.25);
INSERT INTO `board_statistics` VALUES ('day','2026-10-24 22:00:00.000','scrap',1,0,41.25,41.25);
INSERT INTO `board_statistics` VALUES ('day','2026-10-24 22:00:00.000','solder',1,0,41.25,41.25);
INSERT INTO `board_statistics` VALUES ('day','2026-10-24 22:00:00.000','unjudged',1,1,41.25,41.25);
INSERT INTO `board_statistics` VALUES ('day','2026-10-25 23:00:00.000','normal',1,0,41.25,41.25);
INSERT INTO `board_statistics` VALUES ('day','2026-11-20 23:00:00.000','component',1,0,41.25,41.25);
INSERT INTO `board_statistics` VALUES ('day','2026-11-20 23:00:00.000','solder',1,0,41.25,41.25);
INSERT INTO `board_statistics` VALUES ('day','2026-11-20 23:00:00.000','unjudged',1,0,0,0);
INSERT INTO `board_statistics` VALUES ('hour','2026-10-24 21:00:00.000','normal',1,0,41.25,41.25);
INSERT INTO `board_statistics` VALUES ('hour','2026-10-24 22:00:00.000','solder',1,0,41.25,41.25);
INSERT INTO `board_statistics` VALUES ('hour','2026-10-25 00:00:00.000','component',1,0,41.25,41.25);
INSERT INTO `board_statistics` VALUES ('hour','2026-10-25 01:00:00.000','scrap',1,0,41.25,41.25);
INSERT INTO `board_statistics` VALUES ('hour','2026-10-25 22:00:00.000','unjudged',1,1,41.25,41.25);
INSERT INTO `board_statistics` VALUES ('hour','2026-10-25 23:00:00.000','normal',1,0,41.25,41.25);
INSERT INTO `board_statistics` VALUES ('hour','2026-11-21 08:00:00.000','component',1,0,41.25,41.25);
INSERT INTO `board_statistics` VALUES ('hour','2026-11-21 08:00:00.000','solder',1,0,41.25,41.25);
INSERT INTO `board_statistics` VALUES ('hour','2026-11-21 08:00:00.000','unjudged',1,0,0,0);
CREATE TABLE `defect_images` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `verdict_id` varchar(128) NOT NULL,
  `board_id` varchar(128) NOT NULL,
  `camera_id` varchar(64) NOT NULL,
  `sha256` varchar(64) NOT NULL,
  `path` varchar(255) NOT NULL,
  `width` int(11) NOT NULL,
  `height` int(11) NOT NULL,
  `size_bytes` int(11) NOT NULL,
  `received_at` datetime(3) NOT NULL,
  `removed_at` datetime(3) DEFAULT NULL,
  `kind` varchar(16) NOT NULL DEFAULT 'frame',
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_defect_images_verdict_id_camera_id_kind` (`verdict_id`,`camera_id`,`kind`),
  KEY `ix_defect_images_sha256` (`sha256`),
  KEY `ix_defect_images_removed_at_received_at` (`removed_at`,`received_at`)
) ENGINE=InnoDB AUTO_INCREMENT=8 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `defect_images` VALUES (1,'4f7b4be1-c070-5c43-9436-1432ee61e942','BOARD-001','left','68d659fc7d5efb608b860c1f0c36bdd55360bd78fe9b0585566b049a59ed3bc4','68/68d659fc7d5efb608b860c1f0c36bdd55360bd78fe9b0585566b049a59ed3bc4.jpg',640,480,21,'2026-10-24 22:00:00.183','2026-11-30 13:19:34.379','frame');
INSERT INTO `defect_images` VALUES (2,'de95204a-05f6-5190-a956-02523a5cefad','BOARD-002','left','68d659fc7d5efb608b860c1f0c36bdd55360bd78fe9b0585566b049a59ed3bc4','68/68d659fc7d5efb608b860c1f0c36bdd55360bd78fe9b0585566b049a59ed3bc4.jpg',640,480,21,'2026-10-25 00:30:00.183','2026-11-30 13:19:34.379','frame');
INSERT INTO `defect_images` VALUES (3,'3b9a7dee-f7bb-58d7-8510-862b6f6b0d7d','BOARD-003','left','b54b3505620cc8653170043d75784a7c55ab6854cc2ca50b94ee41d7f20a2893','b5/b54b3505620cc8653170043d75784a7c55ab6854cc2ca50b94ee41d7f20a2893.jpg',640,480,18,'2026-10-25 01:30:00.183',NULL,'frame');
INSERT INTO `defect_images` VALUES (4,'3b9a7dee-f7bb-58d7-8510-862b6f6b0d7d','BOARD-003','left','d987ab5d58668e751c1f01dfa640a89ddb7485b60c0b832d1f5a574a6975c764','d9/d987ab5d58668e751c1f01dfa640a89ddb7485b60c0b832d1f5a574a6975c764.png',3,2,72,'2026-10-25 01:30:00.183',NULL,'heat');
INSERT INTO `defect_images` VALUES (5,'072219c4-eb3f-5e39-bd36-1ca8e58c8aa4','BOARD-004','left','25001c3ccc70fc9d7f6a94c71a33634cf5d2a7a2adaa96fe46ff2a2238b36ccc','25/25001c3ccc70fc9d7f6a94c71a33634cf5d2a7a2adaa96fe46ff2a2238b36ccc.jpg',640,480,18,'2026-10-25 22:59:59.183',NULL,'frame');
INSERT INTO `defect_images` VALUES (6,'402b92b7-6250-5998-8fc5-972cdefb2099','BOARD-006','left','25af019fb22c3ed1d4b1733a280f741d0e5ce63346a190670ab4bac7f070b4af','25/25af019fb22c3ed1d4b1733a280f741d0e5ce63346a190670ab4bac7f070b4af.jpg',640,480,18,'2026-11-21 08:00:00.183',NULL,'frame');
INSERT INTO `defect_images` VALUES (7,'9f84e14e-8616-5189-8093-670e59db8e89','BOARD-007','left','f08d705efaa16884af8f687e4f64c32c41284f958127b3dd55d386f6c313c820','f0/f08d705efaa16884af8f687e4f64c32c41284f958127b3dd55d386f6c313c820.jpg',640,480,18,'2026-11-21 08:59:59.183',NULL,'frame');
CREATE TABLE `defect_statistics` (
  `period` varchar(8) NOT NULL,
  `begins_at` datetime(3) NOT NULL,
  `camera_id` varchar(64) NOT NULL,
  `class_name` varchar(64) NOT NULL,
  `boxes` int(11) NOT NULL,
  `boards` int(11) NOT NULL,
  PRIMARY KEY (`period`,`begins_at`,`camera_id`,`class_name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `defect_statistics` VALUES ('day','2026-10-24 22:00:00.000','left','missing_part',3,3);
INSERT INTO `defect_statistics` VALUES ('day','2026-10-24 22:00:00.000','left','short',6,3);
INSERT INTO `defect_statistics` VALUES ('day','2026-10-24 22:00:00.000','right','spur',1,1);
INSERT INTO `defect_statistics` VALUES ('day','2026-11-20 23:00:00.000','left','missing_part',2,2);
INSERT INTO `defect_statistics` VALUES ('day','2026-11-20 23:00:00.000','left','short',4,2);
INSERT INTO `defect_statistics` VALUES ('day','2026-11-20 23:00:00.000','right','spur',1,1);
INSERT INTO `defect_statistics` VALUES ('hour','2026-10-24 22:00:00.000','left','missing_part',1,1);
INSERT INTO `defect_statistics` VALUES ('hour','2026-10-24 22:00:00.000','left','short',2,1);
INSERT INTO `defect_statistics` VALUES ('hour','2026-10-25 00:00:00.000','left','missing_part',1,1);
INSERT INTO `defect_statistics` VALUES ('hour','2026-10-25 00:00:00.000','left','short',2,1);
INSERT INTO `defect_statistics` VALUES ('hour','2026-10-25 01:00:00.000','left','missing_part',1,1);
INSERT INTO `defect_statistics` VALUES ('hour','2026-10-25 01:00:00.000','left','short',2,1);
INSERT INTO `defect_statistics` VALUES ('hour','2026-10-25 01:00:00.000','right','spur',1,1);
INSERT INTO `defect_statistics` VALUES ('hour','2026-11-21 08:00:00.000','left','missing_part',2,2);
INSERT INTO `defect_statistics` VALUES ('hour','2026-11-21 08:00:00.000','left','short',4,2);
INSERT INTO `defect_statistics` VALUES ('hour','2026-11-21 08:00:00.000','right','spur',1,1);
CREATE TABLE `inspection_sides` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `inspection_id` bigint(20) NOT NULL,
  `camera_id` varchar(64) NOT NULL,
  `frame_id` varchar(128) NOT NULL,
  `captured_at` datetime(3) NOT NULL,
  `defect_type` varchar(128) NOT NULL,
  `category` varchar(16) NOT NULL,
  `confidence` double NOT NULL,
  `anomaly_score` double DEFAULT NULL,
  `inference_time_ms` double NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_inspection_sides_inspection_id_camera_id` (`inspection_id`,`camera_id`),
  CONSTRAINT `fk_inspection_sides_inspection_id` FOREIGN KEY (`inspection_id`) REFERENCES `inspections` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB AUTO_INCREMENT=16 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `inspection_sides` VALUES (1,1,'left','frame-left-1792879199125000000','2026-10-24 21:59:59.125','정상','normal',0.9,0.25,14.25);
INSERT INTO `inspection_sides` VALUES (2,1,'right','frame-right-1792879199126000000','2026-10-24 21:59:59.126','정상','normal',0.9,NULL,14.25);
INSERT INTO `inspection_sides` VALUES (3,5,'left','frame-left-1792969199125000000','2026-10-25 22:59:59.125','미판정','normal',0.9,0.25,14.25);
INSERT INTO `inspection_sides` VALUES (4,4,'left','frame-left-1792891800125000000','2026-10-25 01:30:00.125','폐기','scrap',0.9,0.25,14.25);
INSERT INTO `inspection_sides` VALUES (5,4,'right','frame-right-1792891800126000000','2026-10-25 01:30:00.126','정상','normal',0.9,NULL,14.25);
INSERT INTO `inspection_sides` VALUES (6,7,'left','frame-left-1795248000125000000','2026-11-21 08:00:00.125','납땜불량','solder',0.9,0.25,14.25);
INSERT INTO `inspection_sides` VALUES (7,7,'right','frame-right-1795248000126000000','2026-11-21 08:00:00.126','정상','normal',0.9,NULL,14.25);
INSERT INTO `inspection_sides` VALUES (8,2,'left','frame-left-1792879200125000000','2026-10-24 22:00:00.125','납땜불량','solder',0.9,0.25,14.25);
INSERT INTO `inspection_sides` VALUES (9,2,'right','frame-right-1792879200126000000','2026-10-24 22:00:00.126','정상','normal',0.9,NULL,14.25);
INSERT INTO `inspection_sides` VALUES (10,8,'left','frame-left-1795251599125000000','2026-11-21 08:59:59.125','부품불량','component',0.9,0.25,14.25);
INSERT INTO `inspection_sides` VALUES (11,8,'right','frame-right-1795251599126000000','2026-11-21 08:59:59.126','정상','solder',0.9,NULL,14.25);
INSERT INTO `inspection_sides` VALUES (12,6,'left','frame-left-1792969200125000000','2026-10-25 23:00:00.125','정상','normal',0.9,0.25,14.25);
INSERT INTO `inspection_sides` VALUES (13,6,'right','frame-right-1792969200126000000','2026-10-25 23:00:00.126','정상','normal',0.9,NULL,14.25);
INSERT INTO `inspection_sides` VALUES (14,3,'left','frame-left-1792888200125000000','2026-10-25 00:30:00.125','부품불량','component',0.9,0.25,14.25);
INSERT INTO `inspection_sides` VALUES (15,3,'right','frame-right-1792888200126000000','2026-10-25 00:30:00.126','정상','normal',0.9,NULL,14.25);
CREATE TABLE `inspections` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `verdict_id` varchar(128) NOT NULL,
  `board_id` varchar(128) NOT NULL,
  `serial` varchar(128) DEFAULT NULL,
  `camera_id` varchar(64) NOT NULL,
  `defect_type` varchar(128) NOT NULL,
  `category` varchar(16) NOT NULL,
  `confidence` double NOT NULL,
  `inspection_time` datetime(3) NOT NULL,
  `image_path` varchar(255) DEFAULT NULL,
  `boxes` longtext NOT NULL CHECK (json_valid(`boxes`)),
  `gpio_pin` int(11) DEFAULT NULL,
  `gpio_duration_ms` int(11) DEFAULT NULL,
  `status` varchar(16) NOT NULL,
  `judged_at` datetime(3) DEFAULT NULL,
  `received_at` datetime(3) NOT NULL,
  `latency_ms` double DEFAULT NULL,
  `model` varchar(128) DEFAULT NULL,
  `model_sha256` varchar(64) DEFAULT NULL,
  `user_id` bigint(20) DEFAULT NULL,
  `notes` text DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_inspections_verdict_id` (`verdict_id`),
  KEY `fk_inspections_user_id` (`user_id`),
  KEY `ix_inspections_inspection_time` (`inspection_time`),
  KEY `ix_inspections_inspection_time_defect_type` (`inspection_time`,`defect_type`),
  KEY `ix_inspections_board_id` (`board_id`),
  KEY `ix_inspections_serial` (`serial`),
  KEY `ix_inspections_defect_type_inspection_time` (`defect_type`,`inspection_time`),
  CONSTRAINT `fk_inspections_user_id` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE SET NULL
) ENGINE=InnoDB AUTO_INCREMENT=10 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `inspections` VALUES (1,'032b8b3e-75f2-5dce-b642-86f4695c44cc','BOARD-000',NULL,'both','정상','normal',0.9,'2026-10-24 21:59:59.123',NULL,'[]',NULL,NULL,'ok','2026-10-24 21:59:59.164','2026-10-24 21:59:59.168',41.25,'starter','0000000000000000000000000000000000000000000000000000000000000000',NULL,NULL);
INSERT INTO `inspections` VALUES (2,'4f7b4be1-c070-5c43-9436-1432ee61e942','BOARD-001',NULL,'left','납땜불량','solder',0.9,'2026-10-24 22:00:00.123',NULL,'[{\"camera_id\": \"left\", \"x1\": 1.5, \"y1\": 2.5, \"x2\": 31.5, \"y2\": 40.0, \"confidence\": 0.875, \"class\": \"short\"}, {\"camera_id\": \"left\", \"x1\": 50.0, \"y1\": 2.5, \"x2\": 80.0, \"y2\": 40.0, \"confidence\": 0.875, \"class\": \"short\"}, {\"camera_id\": \"left\", \"x1\": 100.0, \"y1\": 2.5, \"x2\": 130.0, \"y2\": 40.0, \"confidence\": 0.875, \"class\": \"missing_part\"}]',27,500,'ok','2026-10-24 22:00:00.164','2026-10-24 22:00:00.168',41.25,'starter','0000000000000000000000000000000000000000000000000000000000000000',1,'리워크 완료');
INSERT INTO `inspections` VALUES (3,'de95204a-05f6-5190-a956-02523a5cefad','BOARD-002',NULL,'left','부품불량','component',0.9,'2026-10-25 00:30:00.123',NULL,'[{\"camera_id\": \"left\", \"x1\": 1.5, \"y1\": 2.5, \"x2\": 31.5, \"y2\": 40.0, \"confidence\": 0.875, \"class\": \"short\"}, {\"camera_id\": \"left\", \"x1\": 50.0, \"y1\": 2.5, \"x2\": 80.0, \"y2\": 40.0, \"confidence\": 0.875, \"class\": \"short\"}, {\"camera_id\": \"left\", \"x1\": 100.0, \"y1\": 2.5, \"x2\": 130.0, \"y2\": 40.0, \"confidence\": 0.875, \"class\": \"missing_part\"}]',27,500,'ok','2026-10-25 00:30:00.164','2026-10-25 00:30:00.168',41.25,'starter','0000000000000000000000000000000000000000000000000000000000000000',NULL,NULL);
INSERT INTO `inspections` VALUES (4,'3b9a7dee-f7bb-58d7-8510-862b6f6b0d7d','BOARD-003',NULL,'left','폐기','scrap',0.9,'2026-10-25 01:30:00.123','b5/b54b3505620cc8653170043d75784a7c55ab6854cc2ca50b94ee41d7f20a2893.jpg','[{\"camera_id\": \"left\", \"x1\": 1.5, \"y1\": 2.5, \"x2\": 31.5, \"y2\": 40.0, \"confidence\": 0.875, \"class\": \"short\"}, {\"camera_id\": \"left\", \"x1\": 50.0, \"y1\": 2.5, \"x2\": 80.0, \"y2\": 40.0, \"confidence\": 0.875, \"class\": \"short\"}, {\"camera_id\": \"left\", \"x1\": 100.0, \"y1\": 2.5, \"x2\": 130.0, \"y2\": 40.0, \"confidence\": 0.875, \"class\": \"missing_part\"}, {\"camera_id\": \"right\", \"x1\": 7.0, \"y1\": 2.5, \"x2\": 37.0, \"y2\": 40.0, \"confidence\": 0.875, \"class\": \"spur\"}]',27,500,'ok','2026-10-25 01:30:00.164','2026-10-25 01:30:00.168',41.25,'starter','0000000000000000000000000000000000000000000000000000000000000000',NULL,NULL);
INSERT INTO `inspections` VALUES (5,'072219c4-eb3f-5e39-bd36-1ca8e58c8aa4','BOARD-004',NULL,'both','미판정','unjudged',0.9,'2026-10-25 22:59:59.123','25/25001c3ccc70fc9d7f6a94c71a33634cf5d2a7a2adaa96fe46ff2a2238b36ccc.jpg','[]',NULL,NULL,'incomplete','2026-10-25 22:59:59.164','2026-10-25 22:59:59.168',41.25,'starter','0000000000000000000000000000000000000000000000000000000000000000',NULL,NULL);
INSERT INTO `inspections` VALUES (6,'cb685a56-0706-5c33-a6ae-c3e3e66df499','Bärd \"5\" \\ 기판',NULL,'both','정상','normal',0.9,'2026-10-25 23:00:00.123',NULL,'[]',NULL,NULL,'ok','2026-10-25 23:00:00.164','2026-10-25 23:00:00.168',41.25,'starter','0000000000000000000000000000000000000000000000000000000000000000',NULL,NULL);
INSERT INTO `inspections` VALUES (7,'402b92b7-6250-5998-8fc5-972cdefb2099','BOARD-006',NULL,'left','납땜불량','solder',0.9,'2026-11-21 08:00:00.123','25/25af019fb22c3ed1d4b1733a280f741d0e5ce63346a190670ab4bac7f070b4af.jpg','[{\"camera_id\": \"left\", \"x1\": 1.5, \"y1\": 2.5, \"x2\": 31.5, \"y2\": 40.0, \"confidence\": 0.875, \"class\": \"short\"}, {\"camera_id\": \"left\", \"x1\": 50.0, \"y1\": 2.5, \"x2\": 80.0, \"y2\": 40.0, \"confidence\": 0.875, \"class\": \"short\"}, {\"camera_id\": \"left\", \"x1\": 100.0, \"y1\": 2.5, \"x2\": 130.0, \"y2\": 40.0, \"confidence\": 0.875, \"class\": \"missing_part\"}]',27,500,'ok','2026-11-21 08:00:00.164','2026-11-21 08:00:00.168',41.25,'starter','0000000000000000000000000000000000000000000000000000000000000000',NULL,NULL);
INSERT INTO `inspections` VALUES (8,'9f84e14e-8616-5189-8093-670e59db8e89','BOARD-007',NULL,'left','부품불량','component',0.9,'2026-11-21 08:59:59.123','f0/f08d705efaa16884af8f687e4f64c32c41284f958127b3dd55d386f6c313c820.jpg','[{\"camera_id\": \"left\", \"x1\": 1.5, \"y1\": 2.5, \"x2\": 31.5, \"y2\": 40.0, \"confidence\": 0.875, \"class\": \"short\"}, {\"camera_id\": \"left\", \"x1\": 50.0, \"y1\": 2.5, \"x2\": 80.0, \"y2\": 40.0, \"confidence\": 0.875, \"class\": \"short\"}, {\"camera_id\": \"left\", \"x1\": 100.0, \"y1\": 2.5, \"x2\": 130.0, \"y2\": 40.0, \"confidence\": 0.875, \"class\": \"missing_part\"}, {\"camera_id\": \"right\", \"x1\": 7.0, \"y1\": 2.5, \"x2\": 37.0, \"y2\": 40.0, \"confidence\": 0.875, \"class\": \"spur\"}]',27,500,'ok','2026-11-21 08:59:59.164','2026-11-21 08:59:59.168',41.25,'starter','0000000000000000000000000000000000000000000000000000000000000000',NULL,NULL);
INSERT INTO `inspections` VALUES (9,'30e1b4d1-66b7-51f3-91b9-9a560e700f67','OVERDUE',NULL,'both','미판정','unjudged',0,'2026-11-21 08:10:00.123',NULL,'[]',NULL,NULL,'missing',NULL,'2026-11-21 08:30:00.123',NULL,NULL,NULL,NULL,'no verdict came within the deadline');
CREATE TABLE `rejected_messages` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `digest` varchar(64) NOT NULL,
  `kind` varchar(16) NOT NULL,
  `topic` varchar(255) NOT NULL,
  `verdict_id` varchar(128) DEFAULT NULL,
  `reason` varchar(64) NOT NULL,
  `detail` text NOT NULL,
  `payload` mediumblob NOT NULL,
  `size_bytes` int(11) NOT NULL,
  `received_at` datetime(3) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_rejected_messages_digest` (`digest`),
  KEY `ix_rejected_messages_received_at` (`received_at`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `rejected_messages` VALUES (1,'13b9b0422bc9103579f7d2dc3d4328ea1af20fab36f61137aaf34968394ef46b','verdict','pcb/verdict','broken','schema','board_id: Input should be a valid string (and 10 more)',0x7B2276223A20312C2022766572646963745F6964223A202262726F6B656E222C2022626F6172645F6964223A20377D,47,'2026-11-21 09:00:00.123');
INSERT INTO `rejected_messages` VALUES (2,'322c252da612ae92c7987fd0a98e37960358efe3e2f912af59cc16461f070bd4','evidence','pcb/evidence/left',NULL,'not_msgpack','unpack(b) received extra data.',0x00FF275C,4,'2026-11-21 09:00:00.123');
CREATE TABLE `system_config` (
  `key` varchar(64) NOT NULL,
  `value` longtext NOT NULL CHECK (json_valid(`value`)),
  `updated_at` datetime(3) NOT NULL,
  `user_id` bigint(20) DEFAULT NULL,
  PRIMARY KEY (`key`),
  KEY `fk_system_config_user_id` (`user_id`),
  CONSTRAINT `fk_system_config_user_id` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `system_config` VALUES ('alert_defect_rate','0.25','2026-11-30 13:19:34.752',NULL);
INSERT INTO `system_config` VALUES ('retention_days','30.0','2026-11-30 13:19:34.564',NULL);
CREATE TABLE `system_logs` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `digest` varchar(64) NOT NULL,
  `level` varchar(16) NOT NULL,
  `source` varchar(64) NOT NULL,
  `message` mediumtext NOT NULL,
  `details` longtext NOT NULL CHECK (json_valid(`details`)),
  `logged_at` datetime(3) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_system_logs_digest` (`digest`),
  KEY `ix_system_logs_logged_at` (`logged_at`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `system_logs` VALUES (1,'53fbb797479d6b8a51c0429e54781de9366fb0e00d0279cfce32310bb079b688','warning','edge-left','카메라가 멈췄다: \'x\' \\ \"y\"','{\"camera\": 0, \"말\": [\"a\", 1.5, null]}','2026-11-21 09:00:00.123');
CREATE TABLE `triggers` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `verdict_id` varchar(128) NOT NULL,
  `board_id` varchar(128) NOT NULL,
  `source` varchar(128) NOT NULL,
  `triggered_at` datetime(3) NOT NULL,
  `received_at` datetime(3) NOT NULL,
  `open` tinyint(1) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_triggers_verdict_id` (`verdict_id`),
  KEY `ix_triggers_open_received_at` (`open`,`received_at`),
  KEY `ix_triggers_triggered_at` (`triggered_at`)
) ENGINE=InnoDB AUTO_INCREMENT=11 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `triggers` VALUES (1,'032b8b3e-75f2-5dce-b642-86f4695c44cc','BOARD-000','plc','2026-10-24 21:59:59.123','2026-10-24 21:59:59.124',0);
INSERT INTO `triggers` VALUES (2,'4f7b4be1-c070-5c43-9436-1432ee61e942','BOARD-001','plc','2026-10-24 22:00:00.123','2026-10-24 22:00:00.124',0);
INSERT INTO `triggers` VALUES (3,'de95204a-05f6-5190-a956-02523a5cefad','BOARD-002','plc','2026-10-25 00:30:00.123','2026-10-25 00:30:00.124',0);
INSERT INTO `triggers` VALUES (4,'3b9a7dee-f7bb-58d7-8510-862b6f6b0d7d','BOARD-003','plc','2026-10-25 01:30:00.123','2026-10-25 01:30:00.124',0);
INSERT INTO `triggers` VALUES (5,'072219c4-eb3f-5e39-bd36-1ca8e58c8aa4','BOARD-004','plc','2026-10-25 22:59:59.123','2026-10-25 22:59:59.124',0);
INSERT INTO `triggers` VALUES (6,'cb685a56-0706-5c33-a6ae-c3e3e66df499','Bärd \"5\" \\ 기판','plc','2026-10-25 23:00:00.123','2026-10-25 23:00:00.124',0);
INSERT INTO `triggers` VALUES (7,'402b92b7-6250-5998-8fc5-972cdefb2099','BOARD-006','plc','2026-11-21 08:00:00.123','2026-11-21 08:00:00.124',0);
INSERT INTO `triggers` VALUES (8,'9f84e14e-8616-5189-8093-670e59db8e89','BOARD-007','plc','2026-11-21 08:59:59.123','2026-11-21 08:59:59.124',0);
INSERT INTO `triggers` VALUES (9,'30e1b4d1-66b7-51f3-91b9-9a560e700f67','OVERDUE','edge-left','2026-11-21 08:10:00.123','2026-11-21 08:10:00.123',0);
INSERT INTO `triggers` VALUES (10,'a1337d81-36c2-56f9-aa71-3e943d5cb67f','OPEN','edge-left','2026-11-21 09:00:00.123','2026-11-21 09:00:00.123',1);
CREATE TABLE `users` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `username` varchar(64) NOT NULL,
  `password_hash` varchar(255) NOT NULL,
  `role` varchar(16) NOT NULL,
  `active` tinyint(1) NOT NULL,
  `created_at` datetime(3) NOT NULL,
  `last_login_at` datetime(3) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_users_username` (`username`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `users` VALUES (1,'kim','$2b$12$abc','operator',1,'2026-11-01 00:00:00.000',NULL);
